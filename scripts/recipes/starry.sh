#!/usr/bin/env bash
# Train starry from nothing, in the parts that made the released file.
# docs/research/released_styles.md tells more of them.
#
#   scripts/recipes/starry.sh PHOTOGRAPHS RUNS
#
# PHOTOGRAPHS is a folder of photographs, RUNS a folder for the results. A part that is done is not
# done again: after an interruption remove the folder of the part that was stopped, and start again.
# The parts took 9 hours on one or two CPU cores with bfloat16, and part 8 17 minutes on a GPU.
# The result is not the released file: the loss has changed since.
set -euo pipefail
photographs=${1:?a folder of photographs} runs=${2:?a folder for the results}

# train PART START KEY=VALUE...: from the model of another part, or from - for nothing
train() {
    local part=$1 start=$2
    shift 2
    [ "$start" = - ] || set -- "$@" init_from="$runs/$start/starry.safetensors"
    [ -e "$runs/$part/starry.safetensors" ] ||
        python -m fast_style.train experiment=starry data.root="$photographs" \
            hydra.run.dir="$runs/$part" "$@"
}

train 1 - optimizer.learning_rate=1.0e-3 optimizer.objective=mean optimizer.warmup=0.1 \
    data.batch_size=2 'data.other_sizes=[]' optimizer.method=adam loss=balanced \
    loss.style_weight=5 loss.grid_weight=0 trainer.max_steps=3000
train 2 1 optimizer.learning_rate=1.0e-3 optimizer.objective=mean optimizer.warmup=0.1 \
    data.batch_size=2 'data.other_sizes=[]' optimizer.method=adam loss=balanced \
    loss.style_weight=5 loss.grid_weight=0 trainer.max_steps=4600
train 3 2 optimizer.learning_rate=1.0e-3 optimizer.objective=mean optimizer.warmup=0.1 \
    data.batch_size=2 'data.other_sizes=[]' optimizer.method=adam loss=balanced \
    loss.style_weight=5 trainer.max_steps=150
train 4 3 optimizer.objective=mean optimizer.warmup=0.1 data.batch_size=2 'data.other_sizes=[]' \
    optimizer.method=adam loss=balanced loss.style_weight=4 optimizer.learning_rate=5.0e-4 \
    trainer.max_steps=2000
train 5 4 optimizer.objective=mean optimizer.warmup=0.1 data.batch_size=2 'data.other_sizes=[]' \
    loss.style_weight=4 optimizer.learning_rate=7.0e-4 trainer.max_steps=200
train 6 5 loss.style_weight=6 optimizer.learning_rate=1.0e-3 optimizer.objective=mean \
    optimizer.warmup=0.1 data.batch_size=2 'data.other_sizes=[]' trainer.max_steps=900
train 7 6 loss.style_weight=6 optimizer.learning_rate=1.0e-3 optimizer.objective=mean \
    optimizer.warmup=0.1 data.batch_size=2 'data.other_sizes=[]' trainer.max_steps=5500
train 8 7 loss.style_weight=6 optimizer.learning_rate=1.0e-3 optimizer.warmup=0.05 \
    data.batch_size=16 'data.other_sizes=[384,512]' trainer.max_steps=17176
train 9 8 optimizer.schedule=averaged optimizer.warmup=0.0619 trainer.max_steps=2586 seed=11
train 10 9 seed=12

python scripts/average_models.py \
    "$runs/10/starry.safetensors:0.8,$runs/8/starry.safetensors:0.2" -o "$runs/starry.safetensors"
