"""The capability matrix: what each vendor offers, as Markdown, from the manifests alone. `list_providers --markdown` prints it."""

from integrations.services import registry
from integrations.services.manifest import DeletesBy, Idempotency, Manifest, Operation

ONCE = {
    Idempotency.NATIVE: "repeating has one effect",
    Idempotency.LOOKUP: "looked up before it is repeated",
    Idempotency.NONE: "an unknown outcome waits for a person",
}
DELETIONS = {
    DeletesBy.FLAG: "marked by the vendor",
    DeletesBy.LOG: "from the vendor's log",
    DeletesBy.FULL_COMPARISON: "by full comparison",
    DeletesBy.NONE: "never",
}


def capability_matrix() -> str:
    """Return the page `docs/providers.md`."""
    manifests = [provider.manifest for provider in registry.providers().values()]
    lines = [
        "# What connects",
        "",
        "Generated from the providers' manifests by `manage.py list_providers --markdown`; a test keeps it current.",
        "",
        "| vendor | system | reads | writes | asks | webhooks |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_overview(manifest) for manifest in manifests]
    for manifest in manifests:
        lines += ["", f"## {manifest.name}", "", *_details(manifest)]
    return "\n".join(lines) + "\n"


def _overview(manifest: Manifest) -> str:
    kinds = ", ".join(kind.replace("_", " ") for kind in manifest.kinds)
    writes = sum(operation.writes for operation in manifest.operations)
    return (
        f"| [{manifest.name}](#{manifest.name.lower().replace(' ', '-')}) | {kinds} | {len(manifest.streams)} streams | {writes} operations | "
        f"{len(manifest.operations) - writes} | {'yes' if manifest.webhooks else 'our own format'} |"
    )


def _details(manifest: Manifest) -> list[str]:
    lines = [f"Setup: [{manifest.name}](../integrations/services/{manifest.slug}/README.md)", ""]
    lines += ["| stream | records | only what changed | by date | single objects | deletions |", "| --- | --- | --- | --- | --- | --- |"]
    for stream in manifest.streams:
        records = ", ".join(record.record_type.replace("_", " ") for record in stream.records)
        marks = " | ".join("yes" if has else "-" for has in (stream.incremental, stream.by_date, stream.by_id))
        lines.append(f"| `{stream.name}` | {records} | {marks} | {DELETIONS[stream.deletes_by]} |")
    lines += ["", "| operation | what it does | after a lost answer |", "| --- | --- | --- |"]
    for operation in manifest.operations:
        after = ONCE[operation.idempotency] if operation.writes else "asked again"
        lines.append(f"| `{operation.name}` | {operation.label} | {after} |")
    lines += [line for operation in manifest.operations for line in _refused(operation)]
    if manifest.webhooks and manifest.webhooks.events:
        lines += ["", "| the vendor's event | ours |", "| --- | --- |"]
        lines += [f"| `{theirs}` | `{ours}` |" for theirs, ours in manifest.webhooks.events.items()]
    return lines


def _refused(operation: Operation) -> list[str]:
    """Say which parts of a body are refused, or refused without a payment."""
    lacking, paid = ([f"`{name}`" for name in names] for names in (operation.lacks, operation.only_paid))
    words = [f"has no place for {', '.join(lacking)}"] if lacking else []
    words += [f"takes {', '.join(paid)} of paid checks only"] if paid else []
    return ["", f"`{operation.name}` {' and '.join(words)}."] if words else []
