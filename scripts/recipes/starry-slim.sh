#!/usr/bin/env bash
# Train starry-slim from nothing, in the parts that made the released file.
# docs/research/released_styles.md tells more of them.
#
#   scripts/recipes/starry-slim.sh PHOTOGRAPHS RUNS
#
# PHOTOGRAPHS is a folder of photographs, RUNS a folder for the results. A part that is done is not
# done again: after an interruption remove the folder of the part that was stopped, and start again.
# The parts took an hour and a half on a CPU with bfloat16, and part 6 7 minutes on a GPU.
# The result is not the released file: the loss has changed since.
set -euo pipefail
photographs=${1:?a folder of photographs} runs=${2:?a folder for the results}

# train PART START KEY=VALUE...: from the model of another part, or from - for nothing
train() {
    local part=$1 start=$2
    shift 2
    [ "$start" = - ] || set -- "$@" init_from="$runs/$start/starry-slim.safetensors"
    [ -e "$runs/$part/starry-slim.safetensors" ] ||
        python -m fast_style.train experiment=starry-slim data.root="$photographs" \
            hydra.run.dir="$runs/$part" "$@"
}

train 1 - data.batch_size=2 'data.other_sizes=[]' optimizer.method=adam optimizer.objective=mean \
    optimizer.schedule=one_cycle optimizer.learning_rate=1.0e-3 optimizer.warmup=0.1 \
    loss=balanced loss.style_weight=5 loss.grid_weight=0 trainer.max_steps=4000
train 2 1 data.batch_size=2 'data.other_sizes=[]' optimizer.method=adam optimizer.objective=mean \
    optimizer.schedule=one_cycle optimizer.learning_rate=1.0e-3 optimizer.warmup=0.1 \
    loss=balanced loss.style_weight=5 trainer.max_steps=150
train 3 2 data.batch_size=2 'data.other_sizes=[]' optimizer.objective=mean \
    optimizer.schedule=one_cycle optimizer.learning_rate=1.0e-3 optimizer.warmup=0.1 \
    trainer.max_steps=300
train 4 3 data.batch_size=2 'data.other_sizes=[]' optimizer.schedule=averaged \
    optimizer.learning_rate=6.0e-4 trainer.max_steps=500 seed=7
train 5 4 data.batch_size=2 'data.other_sizes=[]' optimizer.schedule=averaged \
    optimizer.learning_rate=3.0e-4 trainer.max_steps=400 seed=7
train 6 5
