"""``varreg register`` and ``varreg apply`` as nipype interfaces.

They run the command line, so that each registration is a separate process, which a workflow can schedule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    CommandLine,
    CommandLineInputSpec,
    Directory,
    File,
    TraitedSpec,
    traits,
)

from ..options.names import AFFINE_MODELS, REGULARITIES
from ..options.presets import PRESETS


class _InputSpec(CommandLineInputSpec):
    """Inputs of both commands."""

    num_threads = traits.Range(
        low=1, argstr="--threads %d", nohash=True, desc="threads; the result does not depend on it"
    )


class _Command(CommandLine):
    """A command that fails according to its exit code, with its message."""

    def _run_interface(self, runtime: Any, correct_return_codes: tuple[int, ...] = (0,)) -> Any:
        runtime = super()._run_interface(runtime, correct_return_codes)
        if runtime.returncode not in correct_return_codes:  # nipype checks that for nodes only
            self.raise_exception(runtime)
        return runtime


class RegisterInputSpec(_InputSpec):
    """Inputs of :class:`Register`; any other option of the command goes into ``args``."""

    moving_image = File(
        exists=True, mandatory=True, argstr="%s", position=0, desc="image to be brought over"
    )
    fixed_image = File(
        exists=True, mandatory=True, argstr="%s", position=1, desc="image that it is brought onto"
    )
    out_result = traits.Str(
        "registered", usedefault=True, argstr="--output %s", desc="folder of the result, to be made"
    )
    affine = traits.Either(
        traits.Enum("auto", *AFFINE_MODELS, "none"),
        File(exists=True),
        argstr="--affine %s",
        desc="affine model, or a text file with the matrix",
    )
    deformable = traits.Bool(argstr="--%s", desc="whether the map deforms; undefined: if it pays")
    regularity = traits.Enum(*REGULARITIES, argstr="--regularity %s", desc="smooth or fine maps")
    preset = traits.Enum(*PRESETS, argstr="--preset %s", desc="named choice of all options")
    similarity = traits.Str(argstr="--similarity %s", desc="what is maximised")
    fixed_mask = File(exists=True, argstr="--fixed-mask %s", desc="mask of the fixed image")
    moving_mask = File(exists=True, argstr="--moving-mask %s", desc="mask of the moving image")
    fixed_rigid_mask = File(
        exists=True,
        argstr="--fixed-rigid-mask %s",
        desc="structures of the fixed image that keep their shape",
    )
    moving_rigid_mask = File(
        exists=True,
        argstr="--moving-rigid-mask %s",
        desc="structures of the moving image that keep their shape",
    )
    start = traits.Either(
        traits.Enum("header", "centres", "moments"),
        File(exists=True),
        Directory(exists=True),
        argstr="--start %s",
        desc="where to start: a name, or a map to refine (a saved result or a file of a transform)",
    )
    strict = traits.Bool(argstr="--strict", desc="fail if a check warns of the answer")


class RegisterOutputSpec(TraitedSpec):
    """Outputs of :class:`Register`."""

    out_result = Directory(exists=True, desc="folder of the result, for Apply and varreg.load")
    warped_image = File(exists=True, desc="the moving image on the fixed grid")


class Register(_Command):
    """Register a moving image to a fixed one of another contrast.

    >>> from varreg.integrations.nipype import Register
    >>> node = Register(moving_image="t2.nii.gz", fixed_image="t1.nii.gz")  # doctest: +SKIP
    >>> node.cmdline  # doctest: +SKIP
    'varreg register t2.nii.gz t1.nii.gz --output registered'
    """

    _cmd = "varreg register"
    input_spec = RegisterInputSpec
    output_spec = RegisterOutputSpec

    def _format_arg(self, name: str, spec: Any, value: Any) -> str:
        if name == "deformable":
            return spec.argstr % ("deformable" if value else "no-deformable")  # type: ignore[no-any-return]
        return super()._format_arg(name, spec, value)  # type: ignore[no-any-return]

    def _list_outputs(self) -> dict[str, str]:
        folder = Path(self.inputs.out_result).absolute()
        return {"out_result": str(folder), "warped_image": str(folder / "warped.nii.gz")}


class ApplyInputSpec(_InputSpec):
    """Inputs of :class:`Apply`; any other option of the command goes into ``args``."""

    result = Directory(
        exists=True, mandatory=True, argstr="%s", position=0, desc="folder of a result"
    )
    in_file = File(
        exists=True, mandatory=True, argstr="%s", position=1, desc="image of the moving side"
    )
    out_file = File(
        name_source="in_file",
        name_template="%s_warped",
        keep_extension=True,
        argstr="--output %s",
        desc="file to be made",
    )
    interpolation = traits.Enum(
        "linear", "nearest", "cubic", argstr="--interpolation %s", desc="between voxels"
    )
    labels = traits.Bool(argstr="--labels", desc="the image holds labels")
    inverse = traits.Bool(argstr="--inverse", desc="the image lies on the fixed side")
    modulate = traits.Bool(argstr="--modulate", desc="multiply by the change of volume")
    reference = File(exists=True, argstr="--reference %s", desc="image that gives the grid")
    fill = traits.Float(argstr="--fill %g", desc="value where there is no image")


class ApplyOutputSpec(TraitedSpec):
    """Outputs of :class:`Apply`."""

    out_file = File(exists=True, desc="the warped image")


class Apply(_Command):
    """Warp an image by a saved result.

    >>> Apply(result="registered", in_file="flair.nii.gz", inverse=True)  # doctest: +SKIP
    """

    _cmd = "varreg apply"
    input_spec = ApplyInputSpec
    output_spec = ApplyOutputSpec

    def _list_outputs(self) -> dict[str, str]:
        return {"out_file": str(Path(self._filename_from_source("out_file")).absolute())}
