"""Build the JPEG engine where there is a C compiler, and say which files are installed.

All else is in pyproject.toml.

The engine is loaded by ctypes (jpeg_engine/library.py), and so needs nothing of Python. Where it cannot be
built, the rest is installed without it.
"""

from glob import glob

from setuptools import Extension, find_packages, setup

PACKAGE = "imgcompress/imaging/jpeg_engine"

# Folders beside the package that an installation needs in it (imgcompress/shipped.py).
SHIPPED = {
    "imgcompress.migrations": "migrations",
    "imgcompress.migrations.versions": "migrations/versions",
    "imgcompress.deploy": "deploy",
    "imgcompress.samples": "samples",
}

setup(
    packages=[*find_packages(include=["imgcompress*"]), *SHIPPED],
    package_dir=SHIPPED,
    package_data={
        "imgcompress.api": ["static/**", "templates/**"],
        "imgcompress.web": ["static/**", "templates/**"],
        "imgcompress.migrations": ["alembic.ini", "script.py.mako"],
        "imgcompress.samples": ["*"],
    },
    ext_modules=[
        Extension(
            f"{PACKAGE}/_core".replace("/", "."),
            sources=sorted(glob(f"{PACKAGE}/core/*.c")),
            depends=sorted(glob(f"{PACKAGE}/core/*.h")),
            extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
            libraries=["m"],
            optional=True,
        )
    ],
)
