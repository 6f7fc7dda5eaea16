"""What a number was computed with: code, versions, machine."""

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

import torch

# what decides the numbers of a run; the command line, boards and converters do not (stores have a fingerprint)
DECIDES = (
    *("store", "split", "subset", "prepare", "data", "models", "methods", "metrics", "bootstrap"),
    *("world", "norms", "optimise", "freeze", "blocks", "recipe", "initial", "resume", "evaluate", "train"),
    *("preflight", "parts", "stages", "execute", "plan"),
)
PACKAGES = ("torch", "numpy", "scikit-learn", "lightning-fabric")


def code_version() -> str:
    """Version of skelbench and a digest of those of its sources that decide a run's numbers.

    Returns:
        `0.1.0+1a2b3c4d5e6f`: the same for a checkout, a wheel and an installation of the same sources.
    """
    root = Path(str(files("skelbench")))
    sources = [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix in (".py", ".toml") and path.relative_to(root).parts[0].split(".")[0] in DECIDES
    ]
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{_version('skelbench')}+{digest.hexdigest()[:12]}"


def environment(processes: int = 1) -> dict[str, str]:
    """Versions, threads and machine, as a record keeps them.

    Args:
        processes: That trained together.
    """
    return {
        "python": platform.python_version(),
        "skelbench": _version("skelbench"),
        **{name: _version(name) for name in PACKAGES},
        "threads": str(torch.get_num_threads()),
        "processes": str(processes),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
    }


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _version(package: str) -> str:
    """Version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _processor() -> str:
    """Model of the processor, where the system says it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
