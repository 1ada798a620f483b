"""What elastix and transformix say, from a process of their own: loading them takes long, and they
do not survive warnings that are errors.

    python run_elastix.py JOBS.json RESULTS.npz

A job is {"files": [...], "moving": NPZ} for transformix, or {"fixed": NPZ, "moving": NPZ, "folder": PATH}
for a registration; an NPZ holds array, origin, spacing, direction (LPS+).
"""

import json
import sys

import itk
import numpy as np


def image(path):
    content = np.load(path)
    result = itk.image_from_array(np.ascontiguousarray(content["array"].T))
    result.SetOrigin(content["origin"].tolist())
    result.SetSpacing(content["spacing"].tolist())
    result.SetDirection(itk.matrix_from_array(np.ascontiguousarray(content["direction"])))
    return result


def transformed(job):
    """Displacement vectors (LPS+) at the fixed voxels."""
    parameters = itk.ParameterObject.New()
    for file in job["files"]:
        parameters.AddParameterFile(file)
    return itk.array_from_image(itk.transformix_deformation_field(image(job["moving"]), parameters))


def registered(job):
    """The warped image of a short registration, whose parameter files are left in a folder."""
    parameters = itk.ParameterObject.New()
    for name in ("affine", "bspline"):
        chosen = parameters.GetDefaultParameterMap(name, 1)
        chosen["MaximumNumberOfIterations"] = ["20"]
        chosen["FinalBSplineInterpolationOrder"] = ["1"]
        if name == "bspline":
            chosen["FinalGridSpacingInPhysicalUnits"] = ["12.0"]
        parameters.AddParameterMap(chosen)
    warped, _ = itk.elastix_registration_method(
        image(job["fixed"]),
        image(job["moving"]),
        parameter_object=parameters,
        number_of_threads=1,
        output_directory=job["folder"],
    )
    return itk.array_from_image(warped)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as stream:
        jobs = json.load(stream)
    done = {
        name: transformed(job) if "files" in job else registered(job) for name, job in jobs.items()
    }
    np.savez(sys.argv[2], **done)
