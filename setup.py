"""Build the JPEG engine where there is a C compiler; all else is in pyproject.toml.

It is loaded by ctypes (jpeg_engine/library.py), and so needs nothing of Python. Where it cannot be
built, the rest is installed without it.
"""

from glob import glob

from setuptools import Extension, setup

PACKAGE = "imgcompress/imaging/jpeg_engine"

setup(
    ext_modules=[
        Extension(
            f"{PACKAGE}/_core".replace("/", "."),
            sources=sorted(glob(f"{PACKAGE}/core/*.c")),
            depends=sorted(glob(f"{PACKAGE}/core/*.h")),
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden"],
            libraries=["m"],
            optional=True,
        )
    ]
)
