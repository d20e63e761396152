"""Whether this Freshet can read the artifacts of a workspace."""

from __future__ import annotations

from freshet.core.errors import ArtifactError
from freshet.storage import manifests
from freshet.storage.workspace import Workspace

MANIFESTS: dict[str, type[manifests.Manifest]] = {
    "items": manifests.Catalogue,
    "interests": manifests.InterestsManifest,
    "assignments": manifests.AssignmentManifest,
    "transitions": manifests.TransitionsManifest,
    "screens": manifests.ScreenManifest,
    "models": manifests.ModelManifest,
    "gates": manifests.GatesManifest,
    "sequences": manifests.SequenceManifest,
    "itemmodels": manifests.ItemModelManifest,
    "rankers": manifests.RankerManifest,
    "texts": manifests.TextsManifest,
    "content": manifests.ContentManifest,
    "priors": manifests.PriorManifest,
    "tables": manifests.TableManifest,
    "overlays": manifests.OverlayManifest,
    "user_rows": manifests.UserRowsManifest,
    "feedback": manifests.FeedbackManifest,
}
"""Kind of artifact -> what its manifest holds."""


def artifacts(ws: Workspace) -> list[str]:
    """What is wrong with artifacts whose manifests can't be read."""
    found = []
    for kind, manifest in MANIFESTS.items():
        for version in ws.store.versions(kind):
            try:
                artifact = ws.store.find(kind, version)
                if artifact is not None:
                    manifest.of(artifact)
            except ArtifactError as error:
                found.append(error.message)
    return found
