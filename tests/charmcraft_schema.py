"""charmcraft.yaml, and the metadata and options beside it, as charmcraft's own models see them: the
models that `charmcraft pack` validates a project with. (Its model of actions cannot be used from
outside: charmcraft 4.5 asks it for a private attribute that pydantic 2.14 hides.)"""

import pathlib
import sys

import pydantic
import yaml
from charmcraft import models
from charmcraft.models import config as config_models
from charmcraft.models import project

root = pathlib.Path(sys.argv[1])


def read(name):
    return yaml.safe_load((root / name).read_text(encoding="utf-8"))


def project_of(charmcraft):
    """What charmcraft makes of charmcraft.yaml: name, summary and description come from
    metadata.yaml where they are missing."""
    metadata = read("metadata.yaml")
    for key in ("name", "summary", "description"):
        charmcraft.setdefault(key, metadata[key])
    return project.PlatformCharm.unmarshal(charmcraft)


charm = project_of(read("charmcraft.yaml"))
print(f"ok: charmcraft.yaml: {charm.name}, platforms {sorted(charm.platforms)}")
models.CharmMetadataLegacy.unmarshal(read("metadata.yaml"))
print("ok: metadata.yaml")
options = config_models.JujuConfig.model_validate(read("config.yaml"))
print(f"ok: config.yaml: {len(options.options)} options")
# The check can fail: what charmcraft refuses must be refused here too.
for broken in ({"type": "nonsense"}, {"platforms": {"amd64": {"build-on": 7}}}, {"parts": []}):
    try:
        project_of({**read("charmcraft.yaml"), **broken})
    except (pydantic.ValidationError, ValueError, AttributeError):
        continue
    sys.exit(f"FAILED: charmcraft's models take {broken}")
