"""A bundle on the Hugging Face hub: its folder as it is, and a model card.

May import: ``errors``, ``extras``, ``operating_point``; of this part ``folder``, ``manifest``, ``model_card``. Imports
the extra ``hub`` when it is used. What comes from the hub is verified as any other folder: nothing of it is
executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaedge.bundle import folder
from adaedge.bundle.manifest import NAME, Manifest
from adaedge.bundle.model_card import model_card
from adaedge.errors import BundleError, first_line
from adaedge.extras import load
from adaedge.operating_point import Profile

_CARD = "README.md"
_FILES = [NAME, "*.safetensors", "*.onnx"]
"""What a bundle is made of: nothing else of a repository is downloaded."""


def push(
    repo_id: str,
    manifest: Manifest,
    files: Mapping[str, bytes],
    *,
    profile: Profile | None = None,
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """Upload a bundle in one commit; arguments and errors as `Bundle.push_to_hub`.

    Raises:
        BundleError: if it cannot be written there; see `Bundle.push_to_hub` for the others.
    """
    import tempfile  # with what it needs, 4 ms that a terminal never pays

    api = _hub("Bundle.push_to_hub").HfApi(token=token)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "bundle"
        folder.write(path, manifest, files)
        (path / _CARD).write_text(model_card(manifest, repo_id, profile), encoding="utf-8")
        try:
            name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            done = api.upload_folder(
                repo_id=name,
                folder_path=path,
                commit_message=f"adaedge bundle {manifest.digest[:12]} of {manifest.model or 'a model'}",
                delete_patterns=["*"],  # what a bundle before had, and this one has not
            )
        except Exception as error:  # the hub's errors, those of HTTP and of sockets share no other base
            raise BundleError(
                f"cannot write {repo_id!r} to the Hugging Face hub: {first_line(error)}. Log in with `hf auth"
                " login`, or give a token that may write there."
            ) from error
    return str(done.commit_url)


def pull(repo_id: str, *, revision: str | None = None, token: str | None = None) -> Path:
    """The folder of a bundle in the hub's cache on this machine; arguments and errors as `Bundle.from_hub`.

    Raises:
        BundleError: if it cannot be read from there.
    """
    hub = _hub("Bundle.from_hub")
    try:
        return Path(hub.snapshot_download(repo_id, revision=revision, token=token, allow_patterns=_FILES))
    except Exception as error:  # the hub's errors, those of HTTP and of sockets share no other base
        raise BundleError(
            f"cannot read {repo_id!r} from the Hugging Face hub: {first_line(error)}. Check its name, that this machine"
            " reaches the hub, and for a private one `hf auth login`."
        ) from error


def _hub(wanted: str) -> Any:
    return load("huggingface_hub", wanted)
