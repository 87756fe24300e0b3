"""Settings of a transfer that are set and that nothing reads: whoever wrote them believes that they count.

A search refuses them in its space. A transfer may well inherit them, as of a file for several protocols, and
finished runs have them too, so that here they are told and not refused.
"""

from typing import Any

from pydantic import BaseModel

from pointlab.experiment.transfer import TransferExperiment


def unread_settings(transfer: TransferExperiment) -> list[str]:
    """Dotted paths of what is not as by default, and makes no difference under this protocol."""
    changed = set(_changed(transfer, transfer.model_copy(update=_defaults(transfer))))
    unread = transfer.unread
    return sorted(
        path for path in changed if any(path == each or path.startswith(f"{each}.") for each in unread)
    )


def _defaults(transfer: TransferExperiment) -> dict[str, Any]:
    """Its fields as they are where nothing is said of them; those that have to be given are left out."""
    fields = type(transfer).model_fields
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in fields.items()
        if not field.is_required()
    }


def _changed(one: BaseModel, other: BaseModel, prefix: str = "") -> list[str]:
    """Paths at which two models of one class differ, as deep as both have models there."""
    found = []
    for name in type(one).model_fields:
        mine, its = getattr(one, name), getattr(other, name)
        if type(mine) is type(its) and isinstance(mine, BaseModel):
            found += _changed(mine, its, f"{prefix}{name}.")
        elif mine != its:
            found.append(f"{prefix}{name}")
    return found
