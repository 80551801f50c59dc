"""Creates, lists, describes, trims and deletes topics.

fastlog topic create clicks --partitions 4 --config segment.bytes=1048576
fastlog topic list
fastlog topic describe clicks
fastlog topic describe clicks --retention
fastlog topic trim clicks --partition 0 --before 1000
fastlog topic delete clicks
"""

import argparse
import json

from fastlog.console.client import (
    TIMEOUT_SECONDS,
    add_client_arguments,
    client_settings,
    cluster_metadata,
    confluent,
    describe,
    make,
    not_negative,
    pair,
)
from fastlog.console.errors import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastlog topic`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        add_client_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print JSON")
        return sub

    create = verb("create", "creates a topic")
    create.add_argument("name")
    create.add_argument(
        "--partitions", "-p", type=not_negative, default=-1, help="default: the broker's"
    )
    create.add_argument("--replication-factor", "-r", type=not_negative, default=-1)
    create.add_argument(
        "--config", "-c", metavar="NAME=VALUE", action="append", default=[], help="a topic setting"
    )
    create.add_argument("--if-not-exists", action="store_true", help="no error when it is there")
    verb("list", "lists the topics")
    describe_verb = verb("describe", "tells a topic's partitions and offsets")
    describe_verb.add_argument("names", nargs="+")
    describe_verb.add_argument(
        "--retention", action="store_true", help="each segment: why it is kept, and until when"
    )
    trim = verb("trim", "deletes the oldest records of a topic for good")
    trim.add_argument("name")
    which = trim.add_mutually_exclusive_group(required=True)
    which.add_argument("--before", type=not_negative, metavar="OFFSET", help="those below it")
    which.add_argument("--all", action="store_true", help="all that there are")
    trim.add_argument(
        "--partition",
        "-p",
        type=not_negative,
        action="append",
        help="only of this one (again: and of that one); --before needs it where there are several",
    )
    delete = verb("delete", "deletes topics with all their records")
    delete.add_argument("names", nargs="+")
    delete.add_argument("--if-exists", action="store_true", help="no error when it is absent")


def admin(arguments):
    """An AdminClient for this command line."""
    confluent()
    from confluent_kafka.admin import AdminClient

    return make(AdminClient, client_settings(arguments))


def result(future):
    """A future's outcome as (KafkaError or None)."""
    kafka = confluent()
    try:
        future.result(TIMEOUT_SECONDS + 5)
    except kafka.KafkaException as error:
        return error.args[0]
    return None


def create(arguments) -> int:
    """`fastlog topic create`"""
    confluent()
    from confluent_kafka.admin import NewTopic

    configs = dict(pair(text, "config") for text in arguments.config)
    topic = NewTopic(
        arguments.name,
        num_partitions=arguments.partitions,
        replication_factor=arguments.replication_factor,
        config=configs,
    )
    client = admin(arguments)  # kept: its futures fail when the handle is collected
    try:
        futures = client.create_topics([topic], operation_timeout=10.0, request_timeout=15.0)
    except ValueError as wrong:
        raise CommandError(str(wrong)) from None
    error = result(futures[arguments.name])
    exists = error is not None and error.name() == "TOPIC_ALREADY_EXISTS"
    if error is not None and not (exists and arguments.if_not_exists):
        raise CommandError(f"topic '{arguments.name}': {error.str()} ({error.name()})")
    if arguments.json:
        print(json.dumps({"name": arguments.name, "created": not exists}))
    else:
        print(f"topic '{arguments.name}' {'was there already' if exists else 'created'}")
    return 0


def list_topics(arguments) -> int:
    """`fastlog topic list`"""
    topics = cluster_metadata(admin(arguments)).topics
    if arguments.json:
        rows = [{"name": name, "partitions": len(topics[name].partitions)} for name in topics]
        print(json.dumps(sorted(rows, key=lambda row: row["name"])))
        return 0
    for name in sorted(topics):
        print(name)
    return 0


def partition_rows(consumer, name: str) -> list[dict]:
    """A row for each partition: leader, replicas, in-sync replicas, first and end offset."""
    kafka = confluent()
    topic = cluster_metadata(consumer, name).topics[name]
    if topic.error is not None:
        raise CommandError(f"topic '{name}': {topic.error.str()} ({topic.error.name()})")
    rows = []
    for number, partition in sorted(topic.partitions.items()):
        place = kafka.TopicPartition(name, number)
        try:
            first, end = consumer.get_watermark_offsets(place, timeout=TIMEOUT_SECONDS)
        except kafka.KafkaException as error:
            raise CommandError(f"{name}-{number}: {describe(error)}") from None
        rows.append(
            {
                "partition": number,
                "leader": partition.leader,
                "replicas": partition.replicas,
                "isr": partition.isrs,
                "first_offset": first,
                "end_offset": end,
            }
        )
    return rows


def describe_topics(arguments) -> int:
    """`fastlog topic describe`"""
    if arguments.retention:
        from fastlog.console import topic_retention

        return topic_retention.run(arguments)
    settings = client_settings(arguments, **{"group.id": "fastlog-cli"})
    # A consumer, because an admin client's question for a topic would create it.
    consumer = make(confluent().Consumer, settings)
    try:
        found = {name: partition_rows(consumer, name) for name in arguments.names}
    finally:
        consumer.close()
    if arguments.json:
        print(json.dumps([{"name": n, "partitions": rows} for n, rows in found.items()]))
        return 0
    for name, rows in found.items():
        records = sum(row["end_offset"] - row["first_offset"] for row in rows)
        print(f"{name}: {len(rows)} partitions, {records:,} offsets")
        print("  partition  leader  replicas      isr           first         end")
        for row in rows:
            replicas, isr = (",".join(map(str, row[key])) for key in ("replicas", "isr"))
            print(
                f"  {row['partition']:>9}  {row['leader']:>6}  {replicas:<12}  {isr:<12}"
                f"  {row['first_offset']:<12}  {row['end_offset']}"
            )
    return 0


def trim(arguments) -> int:
    """`fastlog topic trim`"""
    kafka = confluent()
    client = admin(arguments)
    name = arguments.name
    topic = cluster_metadata(client).topics.get(name)  # a question for one topic would create it
    if topic is None:
        raise CommandError(f"there is no topic '{name}'")
    chosen = sorted(set(arguments.partition or topic.partitions))
    if not arguments.all and len(chosen) > 1 and not arguments.partition:
        raise CommandError(f"'{name}' has {len(chosen)} partitions: name one with --partition")
    offset = kafka.OFFSET_END if arguments.all else arguments.before
    wanted = [kafka.TopicPartition(name, number, offset) for number in chosen]
    rows, failures = [], []
    for place, future in client.delete_records(wanted, request_timeout=TIMEOUT_SECONDS).items():
        error = result(future)
        if error is None:
            first = future.result().low_watermark
            rows.append({"partition": place.partition, "first_offset": first})
        else:
            failures.append(f"{name}-{place.partition}: {error.str()} ({error.name()})")
    if arguments.json:
        print(json.dumps({"name": name, "partitions": rows, "failures": failures}))
    else:
        for row in rows:
            print(f"{name}-{row['partition']} starts at {row['first_offset']}")
    if failures:
        raise CommandError("; ".join(failures))
    return 0


def delete(arguments) -> int:
    """`fastlog topic delete`"""
    client = admin(arguments)
    names = list(dict.fromkeys(arguments.names))
    futures = client.delete_topics(names, operation_timeout=10.0, request_timeout=15.0)
    deleted, failures = 0, []
    for name, future in futures.items():
        error = result(future)
        absent = error is not None and error.name() == "UNKNOWN_TOPIC_OR_PART"
        if error is None:
            deleted += 1
            if not arguments.json:
                print(f"topic '{name}' deleted")
        elif not (absent and arguments.if_exists):
            failures.append(f"topic '{name}': {error.str()} ({error.name()})")
    if arguments.json:
        print(json.dumps({"deleted": deleted, "failures": failures}))
    if failures:
        raise CommandError("; ".join(failures))
    return 0


VERBS = {
    "create": create,
    "list": list_topics,
    "describe": describe_topics,
    "trim": trim,
    "delete": delete,
}


def run(arguments) -> int:
    """Runs the verb that was asked for."""
    return VERBS[arguments.verb](arguments)
