"""Exports a capture into the current folder, and compares what DuckDB and Spark read with what scapd says. Prints a line for each
check: ok or not ok, a tab, its name. Called by test-export.sh.

    export.py SCAPD CAPTURE PAGE      PAGE: docs/EXPORT.md, whose queries are run
"""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

import duckdb
from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as perfetto
from pyspark.sql import SparkSession

TABLES = ["events", "processes", "connections", "ledger"]
scapd, capture, page = sys.argv[1:]


def run(*args):
    return subprocess.run([scapd, *args], check=True, capture_output=True, text=True).stdout


def check(name, expected, found):
    """Prints whether both are equal, and not empty."""
    if expected and expected == found:
        print(f"ok\t{name} ({len(expected)} rows)")
        return
    first = next((pair for pair in zip(expected, found) if pair[0] != pair[1]), (expected[-1:], found[-1:]))
    print(f"not ok\t{name}: {len(expected)} and {len(found)} rows, first difference {first}")


def number(value):
    """scapd prints large integers as strings."""
    return int(value) if value not in (None, "") else None


def rows(result):
    """Rows in an order of their own: numbers of different kinds compare as such."""
    plain = lambda value: float(value) if hasattr(value, "as_integer_ratio") and not isinstance(value, bool) else value
    return sorted([tuple(plain(value) for value in row) for row in result], key=repr)


def duck(query):
    return duckdb.sql(query).fetchall()


def spark_rows(query):
    return [tuple(row) for row in spark.sql(query).collect()]


FORMS = [
    ("parquet", "install"),
    ("csv", "events.csv"),
    ("jsonl", "events.jsonl"),
    ("folded", "stacks"),
    ("svg", "stacks.svg"),
    ("perfetto", "trace"),
]
for form, to in FORMS:
    run("export", capture, "--to", form, "-o", to)
text = open(page).read()
views, questions = text.split("\n## Questions\n", 1)
queries = re.findall(r"```sql\n(.*?)```", questions, re.S)
for query in re.findall(r"```sql\n(.*?)```", views, re.S):
    duckdb.sql(query)
duckdb.sql("SET TimeZone = 'UTC'")
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.sql.legacy.parquet.nanosAsLong", "true")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", "1")
    .getOrCreate()
)
for table in TABLES:
    spark.read.parquet(f"install/{table}").createOrReplaceTempView(table)

# Every event, once.
read = [int(line) for line in run("read", "-p", "*%evt.num", capture).split()]
check("events are those of scapd read: DuckDB", read, [row[0] for row in duck("SELECT num FROM events ORDER BY num")])
check("events are those of scapd read: Spark", read, [row[0] for row in spark_rows("SELECT num FROM events ORDER BY num")])
times = [int(line) for line in run("read", "-p", "*%evt.rawtime", capture).split()]
check("times have all nanoseconds: DuckDB", times, [row[0] for row in duck("SELECT epoch_ns(time) FROM events ORDER BY num")])
check("times have all nanoseconds: Spark", times, [row[0] for row in spark_rows("SELECT time FROM events ORDER BY num")])
names = [line or None for line in run("read", "-p", "*%fd.name", "--", capture, "fd.type in (file, directory)").split("\n")[:-1]]
query = "SELECT path FROM events WHERE fd_type IN ('file', 'directory') ORDER BY num"
check("paths are those of scapd read: DuckDB", names, [row[0] for row in duck(query)])
check("paths are those of scapd read: Spark", names, [row[0] for row in spark_rows(query)])

# Sums.
groups = json.loads(run("top", capture, "--json", "-n", "0"))["groups"]
columns = ["calls", "errors", "total_ns", "in_bytes", "out_bytes"]
top = [(group["keys"]["call"], *(number(group[column]) or 0 for column in columns)) for group in groups if group["calls"]]
query = """
    SELECT call, count(*), count(error), coalesce(sum(duration_ns), 0), sum(in_bytes), sum(out_bytes) FROM events
    WHERE ends_call GROUP BY call
"""
check("sums by call are those of scapd top: DuckDB", rows(top), rows(duck(query)))
check("sums by call are those of scapd top: Spark", rows(top), rows(spark_rows(query)))

tree = [json.loads(line) for line in run("tree", capture, "--json").splitlines()]
columns = ["pid", "calls", "errors", "in_bytes", "out_bytes"]
tree = [tuple(number(process[column]) for column in columns) for process in tree]
query = f"SELECT {', '.join(columns)} FROM processes WHERE is_wanted"
check("processes are those of scapd tree: DuckDB", rows(tree), rows(duck(query)))
check("processes are those of scapd tree: Spark", rows(tree), rows(spark_rows(query)))

groups = json.loads(run("net", capture, "--json", "-n", "0", "--by", "process,connection,peer,port"))["groups"]
keys, columns = ["process", "pid", "connection", "peer", "port"], ["calls", "errors", "in_bytes", "out_bytes", "connects", "accepts", "connect_ns"]
net = [(*(group["keys"][key] or None for key in keys), *(number(group[column]) for column in columns)) for group in groups]
query = f"SELECT {', '.join(keys + columns)} FROM connections"
found = duck(query)
if net or found:
    check("connections are those of scapd net: DuckDB", rows(net), rows(found))
    check("connections are those of scapd net: Spark", rows(net), rows(spark_rows(query)))

balances = json.loads(run("info", capture, "--json")).get("ledger", {}).get("balances", [])
balances = [(number(balance["written"]), number(balance["lost"])) for balance in balances]
if balances:
    query = "SELECT written, lost FROM ledger WHERE id = 'scapd.verdict'"
    check("the balance is that of scapd info: DuckDB", rows(balances), rows(duck(query)))
    check("the balance is that of scapd info: Spark", rows(balances), rows(spark_rows(query)))

# The other forms, with the types that DuckDB finds or is told.
names = [row[0] for row in duck("DESCRIBE events") if row[0] not in ("host", "date", "hour")]
listed = ", ".join("epoch_ns(time)" if name == "time" else "CAST(args AS JSON)::VARCHAR" if name == "args" else f'"{name}"' for name in names)
types = {row[0]: row[1] for row in duck("DESCRIBE events")}
given = "{" + ", ".join(f"'{name}': '{'VARCHAR' if name == 'args' else types[name]}'" for name in names) + "}"
sources = {
    "csv": f"read_csv('events.csv', header = true, columns = {given}, max_line_size = 16777216, quote = '\"', escape = '\"')",
    "jsonl": f"read_json('events.jsonl', format = 'newline_delimited', columns = {given.replace(chr(39) + 'args' + chr(39) + ': ' + chr(39) + 'VARCHAR', chr(39) + 'args' + chr(39) + ': ' + chr(39) + 'JSON')})",
}
expected = rows(duck(f"SELECT {listed} FROM events"))
for form, source in sources.items():
    check(f"{form} has the same rows: DuckDB", expected, rows(duck(f"SELECT {listed} FROM {source}")))

# Stacks, and the flame graph.
total = sum(group[3] for group in top)
stacks = [line.rsplit(" ", 1) for line in open("stacks")]
check("stacks take as long as calls", [total], [sum(int(value) for _, value in stacks)])
check("the flame graph has all of it", [total], [int(next(xml.parse("stacks.svg").iter("{http://www.w3.org/2000/svg}svg"))[-1].get("total_samples", 0))])

# The trace, by Perfetto's schema.
trace = perfetto.Trace()
trace.ParseFromString(open("trace", "rb").read())


def unknown(message):
    """The number of fields that the schema does not have, also in messages below."""
    count = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type:
            count += sum(map(unknown, value if not hasattr(value, "ListFields") else [value]))
    return count


check("Perfetto's schema has all fields", [0], [sum(map(unknown, trace.packet))])
event = perfetto.TrackEvent
slices = {event.TYPE_SLICE_BEGIN: [], event.TYPE_SLICE_END: []}
tracks, threads = set(), set()
for packet in trace.packet:
    if packet.HasField("track_descriptor"):
        tracks.add(packet.track_descriptor.uuid)
        if packet.track_descriptor.HasField("thread"):
            threads.add(packet.track_descriptor.thread.tid)
    if packet.HasField("track_event"):
        if packet.track_event.track_uuid not in tracks:
            print(f"not ok\tan event of a track without a name: {packet}")
        if packet.track_event.type in slices:
            slices[packet.track_event.type].append(packet)
ended = {packet.track_event.track_uuid: 0 for packet in trace.packet if packet.HasField("track_event")}
for packet in slices[event.TYPE_SLICE_END]:
    ended[packet.track_event.track_uuid] += packet.timestamp
for packet in slices[event.TYPE_SLICE_BEGIN]:
    ended[packet.track_event.track_uuid] -= packet.timestamp
begins, ends = (len(found) for found in slices.values())
last = {}
for packet in trace.packet:
    if packet.HasField("track_event") and packet.track_event.type in slices:
        last[packet.track_event.track_uuid] = packet
unfinished = [packet.timestamp for packet in last.values() if packet.track_event.type == event.TYPE_SLICE_BEGIN]
check("each slice ends, but those of calls that go on", [begins], [ends + len(unfinished)])
check("slices take as long as calls", [total], [sum(ended.values()) + sum(unfinished)])
timed = duck("SELECT count(*) FROM events WHERE duration_ns IS NOT NULL")[0]
check("each call whose start is known is a slice", list(timed), [ends])
check("threads have tracks", [True], [threads >= {row[0] for row in duck("SELECT DISTINCT tid FROM events WHERE duration_ns IS NOT NULL")}])

# The queries of the page, in both.
for query in queries:
    title = " ".join(query.split())[:60]
    found = duck(query)
    if found or capture == "install.scap":
        check(f"the same answer by both: {title}", rows(found), rows(spark_rows(query.strip().rstrip(";"))))
