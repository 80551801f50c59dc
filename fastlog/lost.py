"""What a start tells when something that was in the log folders is not there any more: the file
that says whose they are, or the disk of one of them. It goes on all the same, as Kafka does.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fastlog.control.state import TopicDescription
from fastlog.logs.folder import META_PROPERTIES

Topics = Mapping[str, TopicDescription]
log = logging.getLogger("fastlog.broker")


def tell_of_other_owner(
    topics: Topics,
    here: Mapping[Path, Collection[tuple[str, int]]],
    broker_id: int,
    live: Collection[int],
) -> None:
    """Partitions lie in these folders that belong to brokers that are gone, and not to this one:
    meta.properties was lost, and with it the broker's id.

    `here`: the partitions in each folder; `live`: the brokers that are there.
    """
    owners: set[int] = set()
    folders: dict[Path, int] = {}
    for folder, partitions in here.items():
        for name, number in partitions:
            replicas = _replicas(topics.get(name), number)
            if replicas and broker_id not in replicas and not set(replicas).intersection(live):
                owners.update(replicas)
                folders[folder] = folders.get(folder, 0) + 1
    if not owners:
        return
    shown = ", ".join(map(str, sorted(owners)))
    line = f"broker.id={shown}" if len(owners) == 1 else "the broker.id that it had"
    log.error(
        "%d partitions in %s belong to broker %s, which is gone, and not to this one, %d: nobody"
        " serves them. Was %s lost? Stop this broker, write %s into %s, and start it again",
        *(sum(folders.values()), _listed(folders), shown, broker_id, META_PROPERTIES, line),
        _listed([folder / META_PROPERTIES for folder in here]),
    )


def _replicas(topic: TopicDescription | None, number: int) -> Sequence[int]:
    state = topic.partitions.get(number) if topic else None
    return state.replicas if state else ()


def tell_of_empty_folder(new_folders: Sequence[Path], anew: int) -> None:
    """So many partitions of this broker are in no folder, while these had never been used."""
    if new_folders and anew:
        log.warning(
            "%s was not used before, and %d partitions are in no log folder: they begin anew,"
            " empty. Is a disk not mounted there?",
            *(_listed(new_folders), anew),
        )


def tell_of_lost_state(new_folders: Sequence[Path], file: str) -> None:
    """No folder has the cluster's state, while these had never been used."""
    if new_folders:
        log.warning(
            "%s was not used before, and no log folder has the cluster's state (%s): it begins"
            " anew. Is a disk not mounted there?",
            *(_listed(new_folders), file),
        )


def _listed(paths: Collection[Path]) -> str:
    return ", ".join(map(str, paths))
