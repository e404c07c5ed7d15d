// Puts the page together: what it is about, the selection, and what follows it.

const METRICS = [
	{ id: 'calls', title: 'calls', of: (sum) => sum.calls, format: formatShort, exact: formatCount },
	{ id: 'errors', title: 'failed calls', of: (sum) => sum.errors, format: formatShort, exact: formatCount },
	{ id: 'time', title: 'time in calls', of: (sum) => sum.time, format: formatTime, exact: formatTime },
	{ id: 'read', title: 'bytes read', of: (sum) => sum.read, format: formatBytes, exact: formatBytes },
	{ id: 'written', title: 'bytes written', of: (sum) => sum.written, format: formatBytes, exact: formatBytes },
];
const BYTES = { id: 'bytes', title: 'bytes read and written', of: (sum) => sum.read + sum.written, exact: formatBytes };
const [CALLS, , TIME] = METRICS;
/** So many names have a colour. */
const MOST_COLOURS = PALETTE.length;

const chosen = { metric: METRICS[0], files: BYTES, peers: BYTES, call: mostSpread(), waiting: -1 };

/** The call whose durations differ most. */
function mostSpread() {
	const fields = calls.rows.map((row) => row.cells.reduce((sum, cell) => sum + cell.steps.length, 0));
	return Math.max(0, fields.indexOf(Math.max(...fields)));
}

// What the report is about.

function showAbout() {
	const { ledger, machines } = data;
	const hosts = machines.map((machine) => machine.hostname || 'a machine without a name');
	document.title = `scapd report: ${hosts[0] || ''} ${day()} ${clock(firstEvent)}`;
	byId('about').textContent = data.files.join(', ');
	const facts = [
		['host', hosts.join(', ')],
		['from', `${day()} ${clock(firstEvent)} (${data.zone})`],
		['for', formatTime(lastEvent - firstEvent)],
		['events', formatCount(data.events)],
	];
	if (machines.length) {
		facts.push(['CPUs and memory', machines.map((one) => `${one.cpus}, ${formatBytes(Number(one.memory))}`).join('; ')]);
		if (Number(machines[0].boot) > 0) facts.push(['started', dateTime(Number(machines[0].boot) / 1e6)]);
	}
	const given = [data.filter, ...ledger.filters.map((text) => text && `${text} (while recording)`), ...ledger.asked_for].filter(Boolean);
	facts.push(['selected', given.length ? given.join('; ') : 'all events']);
	if (data.span.from || data.span.to) facts.push(['times', `${data.span.from || 'start'} to ${data.span.to || 'end'}`]);
	byId('facts').append(...facts.map(([name, value]) => element('div', {}, element('dt', { textContent: name }), element('dd', { textContent: value }))));
	const [isGood, text] = verdict();
	byId('verdict').textContent = text;
	byId('verdict').className = isGood ? 'good' : 'bad';
	byId('made').textContent = `Made by scapd ${data.scapd} at ${dateTime(Date.parse(data.made))}. A call counts when it ends.`;
}

/** Returns whether nothing is missing, and what to say. */
function verdict() {
	const { balances, gap_count: gaps } = data.ledger;
	const lost = balances.reduce((sum, balance) => sum + Number(balance.lost), 0);
	if (data.damage) return [false, `Damaged: ${data.damage}. The page has what is before.`];
	if (lost > 0 || gaps > 0) return [false, `${formatCount(lost)} events were lost, in ${formatCount(gaps)} ${gaps === 1 ? 'gap' : 'gaps'}.`];
	if (data.span.to) return [true, 'Read up to the given time: the balance of the capture is behind it. No gap before it.'];
	if (balances.length < data.sections) return [false, 'No balance: whether events were lost is not known.'];
	if (balances.some((balance) => balance.sample)) return [true, 'Complete as a sample: nothing was lost that was to be recorded.'];
	return [true, 'Complete: no event was lost.'];
}

function showMissing() {
	const { ledger } = data;
	const lines = [...ledger.left_out_lines, ...ledger.slice_lines.map((text) => `The capture is a slice of another one: ${text}`)];
	for (const rules of ledger.redacted) lines.push(`Overwritten by rules while recording: ${Object.entries(rules).map(([kind, number]) => `${number} ${kind}`).join(', ')}`);
	for (const step of ledger.clock_steps) lines.push(`The wall clock was stepped by ${formatTime(Math.abs(Number(step.by)))} ${Number(step.by) < 0 ? 'back' : 'forward'} at ${step.at_time}`);
	const others = [[calls, 'calls'], [names, 'process names'], [files, 'files'], [peers, 'peers'], [failures, 'kinds of failures'], [waiting, 'process names']];
	for (const [table, what] of new Map(others.map((one) => [one[1], one])).values()) {
		if (table.others.groups > 0) lines.push(`${formatCount(table.others.groups)} more ${what} are told together, as others.`);
		if (table.givenUp > 0) lines.push(`Of the ${what}, those that had cost least were given up on the way, ${formatCount(table.givenUp)} times: they are among the others.`);
	}
	if (data.more_processes > 0) lines.push(`${formatCount(data.more_processes)} more processes are not shown one by one.`);
	if (files.withoutKey > 0) lines.push(`${formatCount(files.withoutKey)} calls are about no file, and ${formatCount(peers.withoutKey)} about no connection of IP.`);
	if (!data.waiting.has_switches) lines.push('Without switch events in the capture, a thread counts as running whenever it is in no call.');
	byId('missing').replaceChildren(...lines.map((line) => element('li', { textContent: line })));
	if (!ledger.gaps.length) return;
	sortedTable(byId('gaps-table'), {
		caption: `Gaps in which events were lost${ledger.gap_count > ledger.gaps.length ? `: the first ${ledger.gaps.length} of ${formatCount(ledger.gap_count)}` : ''}`, sort: 1,
		columns: [
			{ title: 'at', value: (row) => row.at },
			{ title: 'lost', format: 'count', value: (row) => row.lost },
			{ title: 'for', format: 'time', value: (row) => row.length },
			{ title: 'causes', value: (row) => row.causes },
			{ title: 'CPUs', value: (row) => row.cpus },
		],
	}).show(ledger.gaps.map((gap, at) => {
		const [from, to] = ledger.gap_spans[at];
		const causes = Object.entries(gap.causes).filter(([, number]) => Number(number) > 0);
		return {
			at: clock(from), lost: Number(gap.lost), length: Number(to) - Number(from), cpus: gap.cpus.join(', '),
			causes: causes.map(([cause, number]) => `${cause.replaceAll('_', ' ')}: ${formatCount(number)}`).join(', '),
		};
	}));
}

// The timeline, on which a time is selected.

function byBin(rows, of) {
	const values = new Array(count).fill(0);
	for (const row of rows) for (const cell of row.cells) values[cell.bin] += of(cell);
	return values;
}

/** The names that have a colour by what is shown, and all others. */
function timelineRows() {
	const { of } = chosen.metric;
	const total = (row) => row.cells.reduce((sum, cell) => sum + of(cell), 0);
	const order = names.rows.map((row) => [total(row), row]).filter(([sum]) => sum > 0).sort((a, b) => b[0] - a[0]).map(([, row]) => row);
	const rows = order.slice(0, MOST_COLOURS).map((row, at) => ({ name: row.keys[0], colour: PALETTE[at], values: byBin([row], of) }));
	const rest = byBin([...order.slice(MOST_COLOURS), names.others], of);
	if (rest.some((value) => value > 0)) rows.push({ name: 'other processes', colour: OTHERS, values: rest });
	return rows;
}

const timeline = chart(byId('timeline'), 'Calls by process over time', () => {
	const rows = timelineRows();
	if (!rows.length) return null;
	return {
		option: {
			grid: grid(), legend: legend(rows.map((row) => row.name)), tooltip: stepTip(chosen.metric.exact), xAxis: timeAxis(0, count * width), yAxis: valueAxis(chosen.metric.format),
			series: [...stepSeries(rows, 0, count), selectedSeries(selection.from, selection.to)],
		},
	};
});

/** The selected bins, as an area. */
function selectedSeries(from, to) {
	const areas = from === 0 && to === count ? [] : [[{ xAxis: toAxis(from * width) }, { xAxis: toAxis(to * width) }]];
	return {
		id: 'selected', type: 'line', data: [], silent: true,
		markArea: { silent: true, data: areas, itemStyle: { color: 'rgba(66,105,208,0.18)', borderColor: colour('--chosen'), borderWidth: 1 } },
	};
}

function showSelected(from, to) {
	timeline.made.setOption({ series: [selectedSeries(from, to)] });
}

/** Lets the mouse, or a finger, select. */
function armTimeline() {
	const canvas = timeline.made.getZr();
	const binAt = (event) => {
		const seconds = timeline.made.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
		return Math.min(count - 1, Math.max(0, Math.floor((seconds * 1e9 + firstEvent) / width)));
	};
	const isInside = (event) => timeline.made.containPixel('grid', [event.offsetX, event.offsetY]);
	let began = null;
	canvas.on('mousedown', (event) => {
		if (isInside(event)) began = { bin: binAt(event), x: event.offsetX };
	});
	canvas.on('mousemove', (event) => {
		if (isInside(event)) canvas.setCursorStyle('crosshair');
		if (began) showSelected(Math.min(began.bin, binAt(event)), Math.max(began.bin, binAt(event)) + 1);
	});
	canvas.on('mouseup', (event) => {
		if (!began) return;
		const { bin, x } = began;
		began = null;
		// A click selects all.
		if (Math.abs(event.offsetX - x) < 3) select(0, count);
		else select(Math.min(bin, binAt(event)), Math.max(bin, binAt(event)) + 1);
	});
}

function select(from, to) {
	selection.from = Math.min(Math.max(0, from), count - 1);
	selection.to = Math.min(Math.max(selection.from + 1, to), count);
	follow();
}

function showSelection() {
	const from = selectedFrom(), to = selectedTo();
	byId('selected').textContent = isWhole() ? 'Whole capture' : `${clock(from)} – ${clock(to)}`;
	byId('length').textContent = formatTime(to - from);
	byId('all').hidden = isWhole();
	const times = isWhole()
		? [['--from', data.span.from], ['--to', data.span.to]].filter(([, time]) => time).map(([name, time]) => `${name} '${time}'`)
		: [`--from ${exactTime(selection.from * width)}`, `--to ${exactTime(selection.to * width - 1)}`];
	byId('command').textContent = [data.command, ...times].join(' ');
	for (const [id, value, other] of [['from', selection.from, 0], ['to', selection.to, 1]]) {
		const input = byId(id);
		input.max = count;
		input.value = value;
		input.setAttribute('aria-valuetext', clock((value || 0) * width));
		input.disabled = count < 2;
		input.dataset.end = other;
	}
}

// What follows the selection.

const allRows = (table) => [...table.rows, table.others];

function showCards() {
	const all = allRows(calls).map(sum).reduce((one, other) => {
		for (const name of ['calls', 'errors', 'time', 'read', 'written']) one[name] += other[name];
		return one;
	}, { calls: 0, errors: 0, time: 0, read: 0, written: 0 });
	const cards = [
		['calls', all.calls, formatCount, 'calls'], ['errors', all.errors, formatCount, 'failed'], ['time', all.time, formatTime, 'in calls, of all threads'],
		['read', all.read, formatBytes, 'read'], ['written', all.written, formatBytes, 'written'],
		['processes', shownProcesses().length, formatCount, data.more_processes ? 'processes shown' : 'processes'],
	];
	byId('cards').replaceChildren(...cards.map(([id, value, format, what]) => {
		const number = element('b', { textContent: format(value) });
		number.setAttribute('data-number', id);
		number.setAttribute('data-value', value);
		return element('div', { className: 'card' }, number, element('span', { textContent: what }));
	}));
}

const number = (title, name, format, more) => ({ title, format, value: (row) => row.sum[name], hidesZero: true, ...more });
const TALLY = [
	number('time', 'time', 'time', { hasBar: true }), number('calls', 'calls', 'count', { hidesZero: false }), number('failed', 'errors', 'count'),
	number('read', 'read', 'bytes'), number('written', 'written', 'bytes'),
];
const MOVED = [number('bytes', 'bytes', 'bytes', { hasBar: true }), TALLY[3], TALLY[4], TALLY[1], TALLY[2], number('time', 'time', 'time')];
const key = (title, at, more) => ({ title, value: (row) => row.keys[at], ...more });

/** Returns the rows of a table that have something in the selected time, with their sums; and the others. */
function rowsOf(table) {
	const summed = (row) => ({ ...row, sum: sum(row) });
	const has = (row) => row.sum.calls > 0 || row.sum.bytes > 0;
	const others = summed({ ...table.others, keys: [othersName(table), ...table.titles.slice(1).map(() => '')] });
	return [table.rows.map(summed).filter(has), has(others) ? [others] : []];
}

const callsTable = sortedTable(byId('calls-table'), {
	caption: 'Click a call to see how long it took. Of a selected time, median and p99 are at most half too large', sort: 1, onRow: (row) => chooseCall(calls.rows.findIndex((call) => call.keys[0] === row.keys[0])),
	columns: [
		key('call', 0), ...TALLY,
		{ title: 'median', format: 'time', value: (row) => row.p50, isNear: () => !isWhole() }, { title: 'p99', format: 'time', value: (row) => row.p99, isNear: () => !isWhole() },
		{ title: 'longest', format: 'time', value: (row) => row.sum.longest, hidesZero: true },
	],
});

function showCalls() {
	const [rows, others] = rowsOf(calls);
	for (const row of rows) {
		row.p50 = isWhole() ? row.totals.p50_ns : quantile(row, 0.5);
		row.p99 = isWhole() ? row.totals.p99_ns : quantile(row, 0.99);
	}
	callsTable.show(rows, others);
}

function chooseCall(at) {
	chosen.call = at;
	byId('call').value = at;
	heat.show();
	byId('heat').scrollIntoView({ block: 'nearest' });
}

const heat = chart(byId('heat'), 'How long calls took, over time', () => (calls.rows[chosen.call] ? heatOption(calls.rows[chosen.call]) : null));

const isShownUse = (name) => byId('on-purpose').checked || !data.waiting.on_purpose.includes(name);
const waitingRows = () => (chosen.waiting < 0 ? allRows(waiting) : [waiting.rows[chosen.waiting]]);

const waits = chart(byId('waits'), 'What threads spent their time on', () => {
	const rows = data.waiting.uses.map((name, at) => ({ name, colour: USE_COLOURS[name] || OTHERS, values: byBin(waitingRows(), (cell) => cell.uses[at] / width), at }));
	const shown = rows.filter((row) => isShownUse(row.name) && row.values.slice(selection.from, selection.to).some((ns) => ns > 0));
	if (!shown.length) return null;
	return {
		option: {
			grid: grid(), legend: legend(shown.map((row) => row.name)), tooltip: stepTip(formatThreads), yAxis: valueAxis(formatThreads),
			xAxis: timeAxis(selection.from * width, selection.to * width), series: stepSeries(shown, selection.from, selection.to),
		},
	};
});

let waitingTable;

function makeWaitingTable() {
	const uses = data.waiting.uses.map((name, at) => ({ name, at })).filter(({ name, at }) => isShownUse(name) && allRows(waiting).some((row) => row.cells.some((cell) => cell.uses[at] > 0)));
	byId('waiting-table').replaceChildren();
	waitingTable = sortedTable(byId('waiting-table'), {
		caption: 'Shares of the time of all threads of these processes', sort: 2,
		columns: [
			key('process', 0), { title: 'threads', format: 'count', value: (row) => row.threads },
			{ title: 'time', format: 'time', value: (row) => row.shown, hasBar: true },
			...uses.map(({ name, at }) => ({ title: name, format: 'share', value: (row) => (row.shown > 0 ? row.uses[at] / row.shown : 0), hidesZero: true })),
		],
	});
}

function showWaiting() {
	waits.show();
	const summed = (row) => {
		const uses = sumOfUses(row);
		return { ...row, uses, shown: uses.reduce((sum, ns, at) => sum + (isShownUse(data.waiting.uses[at]) ? ns : 0), 0) };
	};
	const others = summed({ ...waiting.others, keys: [othersName(waiting)] });
	waitingTable.show(waiting.rows.map(summed).filter((row) => row.shown > 0), others.shown > 0 ? [others] : []);
}

// Processes.

const processes = data.processes.map((process) => {
	const [end, how, value] = process.ended || [];
	const ending = !process.ended ? 'goes on' : how === 'status' ? `with status ${value}` : how === 'signal' ? `killed by ${value}` : 'unknown';
	const depth = 0;
	return {
		...process, depth, ending, isBad: how === 'signal' || (how === 'status' && value !== 0), isKilled: how === 'signal', children: [],
		begin: process.started === null ? Math.min(0, process.first) : process.started, finish: process.ended ? end : lastEvent,
	};
});
const roots = processes.filter((process) => {
	if (process.parent === null) return true;
	processes[process.parent].children.push(process);
	process.depth = processes[process.parent].depth + 1;
	return false;
});
const inOrder = [];
for (const waitingFor = roots.reverse(); waitingFor.length;) {
	const process = waitingFor.pop();
	inOrder.push(process);
	waitingFor.push(...process.children.reverse());
}

function shownProcesses() {
	return inOrder.filter((process) => process.begin < selection.to * width && process.finish >= selection.from * width);
}

/** So many are in the chart: those that a signal has killed, and those with the most calls. */
const MOST_CHARTED = 40;

function chartedProcesses() {
	const shown = shownProcesses();
	const order = [...shown].sort((a, b) => b.isKilled - a.isKilled || b.calls - a.calls).slice(0, MOST_CHARTED);
	const charted = new Set(order);
	return shown.filter((process) => charted.has(process));
}

const tree = chart(byId('tree'), 'Processes over time', () => treeOption(chartedProcesses()));

const treeTable = sortedTable(byId('tree-table'), {
	caption: 'Processes that lived in the selected time; their numbers are of all times', sort: 5,
	columns: [
		{ title: 'process', value: (row) => row.name }, { title: 'pid', value: (row) => String(row.pid) }, { title: 'command', value: (row) => row.command, isWide: true },
		{ title: 'user', value: (row) => row.user }, { title: 'ended', value: (row) => row.ending }, { title: 'calls', format: 'count', value: (row) => row.calls, hasBar: true },
		{ title: 'failed', format: 'count', value: (row) => row.errors, hidesZero: true }, { title: 'lived', format: 'time', value: (row) => row.finish - row.begin },
	],
});

const namesTable = sortedTable(byId('names-table'), { caption: 'Processes by their names', sort: 1, columns: [key('process', 0), ...TALLY] });

function showProcesses() {
	tree.show();
	const all = shownProcesses();
	treeTable.show(all);
	namesTable.show(...rowsOf(names));
	const left = all.length - Math.min(all.length, MOST_CHARTED) + data.more_processes;
	const marks = [['#efb118', 'executes a program'], ['#a463f2', 'receives a signal'], [colour('--good'), 'ends well'], [colour('--bad'), 'ends with an error or by a signal']];
	byId('process-key').replaceChildren(...marks.flatMap(([fill, text]) => {
		const mark = element('span', { className: 'mark' });
		mark.style.background = fill;
		return [mark, text];
	}), left > 0 ? `. ${formatCount(left)} others are not in the chart.` : '.');
}

// Files, peers, slow calls, failures.

const filesTable = sortedTable(byId('files-table'), { caption: 'Files and directories', sort: 1, empty: 'No call on a file in the selected time.', columns: [key('file', 0, { isWide: true }), ...MOVED] });
const map = chart(byId('map'), 'Files and folders', () => {
	const value = (row) => chosen.files.of(sum(row));
	const entries = files.rows.map((row) => ({ path: row.keys[0], value: value(row) })).filter((entry) => entry.value > 0);
	return mapOption(entries, value(files.others), chosen.files.exact);
});

const peersTable = sortedTable(byId('peers-table'), {
	caption: 'By process, machine and port of the server', sort: 3, empty: 'No connection of IP in the selected time.',
	columns: [key('process', 0), key('peer', 1), key('port', 2), ...MOVED],
});
const linked = chart(byId('peers'), 'Who talked to whom', () => {
	const links = allRows(peers).map((row) => ({ process: row.isOthers ? 'others' : row.keys[0], peer: row.isOthers ? 'others' : `${row.keys[1]} port ${row.keys[2]}`, value: chosen.peers.of(sum(row)) }));
	return peersOption(links.filter((link) => link.value > 0), chosen.peers.exact);
});

const slowColumns = (title) => [
	{ title: 'took', format: 'time', value: (row) => row[1] }, { title, value: (row) => clock(row[0]) }, { title: 'call', value: (row) => row[2], isWide: true },
];
const slowTable = sortedTable(byId('slow-table'), { caption: 'Slowest calls of the selected time', sort: 0, columns: slowColumns('ended at') });

function showSlow() {
	const from = selection.from * width, to = selection.to * width;
	slowTable.show(data.slow.filter(([end]) => end >= from && end < to).slice(0, 50));
}

const failuresTable = sortedTable(byId('failures-table'), {
	caption: 'Failed calls, with an example of each', sort: 3, empty: 'No call failed in the selected time.',
	columns: [key('call', 0), key('error', 1), key('process', 2), number('failed', 'calls', 'count', { hasBar: true }), number('time', 'time', 'time'), { title: 'example', value: (row) => row.example, isWide: true }],
});

function follow() {
	showSelection();
	showCards();
	showCalls();
	heat.show();
	showWaiting();
	showProcesses();
	map.show();
	filesTable.show(...rowsOf(files));
	linked.show();
	peersTable.show(...rowsOf(peers));
	showSlow();
	failuresTable.show(...rowsOf(failures));
	showSelected(selection.from, selection.to);
}

function showAll() {
	timeline.show();
	follow();
}

function wire() {
	armTimeline();
	radios(byId('metrics'), 'metric', METRICS, (id) => {
		chosen.metric = METRICS.find((metric) => metric.id === id);
		timeline.show();
	});
	for (const [place, name, view] of [['file-metrics', 'files', map], ['peer-metrics', 'peers', linked]]) {
		radios(byId(place), name, [BYTES, CALLS, TIME], (id) => {
			chosen[name] = [BYTES, CALLS, TIME].find((metric) => metric.id === id);
			view.show();
		});
	}
	byId('call').append(...calls.rows.map((row, at) => element('option', { value: at, textContent: row.keys[0] })));
	byId('call').value = chosen.call;
	byId('call').addEventListener('change', (event) => { chosen.call = Number(event.target.value); heat.show(); });
	byId('waiting-of').append(element('option', { value: -1, textContent: 'all' }), ...waiting.rows.map((row, at) => element('option', { value: at, textContent: row.keys[0] })));
	byId('waiting-of').addEventListener('change', (event) => { chosen.waiting = Number(event.target.value); showWaiting(); });
	byId('on-purpose').addEventListener('change', () => { makeWaitingTable(); showWaiting(); });
	byId('from').addEventListener('input', (event) => select(Number(event.target.value), Math.max(selection.to, Number(event.target.value) + 1)));
	byId('to').addEventListener('input', (event) => select(Math.min(selection.from, Number(event.target.value) - 1), Number(event.target.value)));
	byId('all').addEventListener('click', () => { select(0, count); byId('from').focus(); });
	document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && !isWhole()) select(0, count); });
	byId('each').textContent = formatTime(width);
	byId('copy').addEventListener('click', () => navigator.clipboard.writeText(byId('command').textContent).catch(() => getSelection().selectAllChildren(byId('command'))));
	byId('slow-hint').textContent = `Of each ${formatTime(width)}, the slowest calls are kept. Calls that wait on purpose (sleep, poll, for children) are left out.`;
	if (data.unfinished.length) sortedTable(byId('unfinished-table'), { caption: 'Calls that had not ended', sort: 0, columns: slowColumns('began at') }).show(data.unfinished);
	addEventListener('resize', () => charts.forEach(({ made }) => made.resize()));
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showAll);
	// Paper has its own colours and its own width.
	matchMedia('print').addEventListener('change', showAll);
}

if (data.events > 0) {
	wire();
	makeWaitingTable();
	showAbout();
	showMissing();
	showAll();
} else {
	showAbout();
	showMissing();
	document.querySelectorAll('main > :not(#losses)').forEach((part) => { part.hidden = true; });
	byId('losses').prepend(element('p', { textContent: 'No event matches.' }));
}
document.documentElement.setAttribute('data-ready', '');
