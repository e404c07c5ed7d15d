// The data, unpacked: see src/report/data.rs for its shape.

const data = JSON.parse(document.getElementById('data').textContent);
const width = Number(data.width);
const count = data.bins;
const start = BigInt(data.start);
/** How long after the start of the first bin the first event was, in ns. */
const firstEvent = Number(BigInt(data.first) - start);
const lastEvent = Number(BigInt(data.last) - start);

/** Returns the numbers of a packed text, one by one. */
function unpacker(text) {
	const bytes = atob(text);
	let at = 0;
	return {
		hasMore: () => at < bytes.length,
		next() {
			let number = 0, unit = 1;
			for (;;) {
				const byte = bytes.charCodeAt(at++);
				number += (byte & 0x7f) * unit;
				if (byte < 0x80) return number;
				unit *= 128;
			}
		},
	};
}

/** Unpacks bins: `read` reads what each has. */
function unpack(text, read) {
	const from = unpacker(text);
	const cells = [];
	let bin = 0;
	while (from.hasMore()) {
		bin += from.next();
		cells.push({ bin, ...read(from) });
		bin += 1;
	}
	return cells;
}

const tally = (from) => ({
	calls: from.next(), errors: from.next(), time: from.next(), read: from.next(), written: from.next(),
});

function spread(from) {
	const cell = tally(from);
	cell.longest = from.next();
	cell.steps = [];
	for (let left = from.next(); left > 0; left--) cell.steps.push([from.next(), from.next()]);
	return cell;
}

const spent = (from) => ({ uses: data.waiting.uses.map(() => from.next()) });

/** Returns a table: its rows with their cells, and the others. */
function table(packed, read) {
	const rows = packed.rows.map((row) => ({
		keys: row.k,
		totals: row.t && Object.fromEntries(packed.columns.map((column, at) => [column, toNumber(row.t[at])])),
		threads: row.threads,
		example: row.example,
		cells: unpack(row.bins, read),
	}));
	const others = { keys: ['others'], isOthers: true, groups: packed.others.groups, cells: unpack(packed.others.bins, read) };
	return { titles: packed.keys, rows, others, withoutKey: packed.without_key, givenUp: packed.given_up };
}

/** Numbers beyond 2^53 are texts. */
function toNumber(value) {
	return typeof value === 'string' ? Number(value) : value;
}

const calls = table(data.calls, spread);
const names = table(data.names, tally);
const files = table(data.files_by_name, tally);
const peers = table(data.peers, tally);
const failures = table(data.failures, tally);
const waiting = table(data.waiting, spent);

/** The bins that are selected: from the first one up to the last one, without it. */
const selection = { from: 0, to: count };

const isWhole = () => selection.from === 0 && selection.to === count;
/** The selected time, in ns since the start. */
const selectedFrom = () => (selection.from === 0 ? firstEvent : selection.from * width);
const selectedTo = () => (selection.to === count ? lastEvent : selection.to * width);

/** Adds up the cells of a row that are selected. */
function sum(row) {
	const sum = { calls: 0, errors: 0, time: 0, read: 0, written: 0, longest: 0 };
	for (const cell of row.cells) {
		if (cell.bin < selection.from || cell.bin >= selection.to) continue;
		for (const name of ['calls', 'errors', 'time', 'read', 'written']) sum[name] += cell[name];
		sum.longest = Math.max(sum.longest, cell.longest || 0);
	}
	sum.bytes = sum.read + sum.written;
	return sum;
}

/** Adds up what threads spent their time on in the selected bins. */
function sumOfUses(row) {
	const uses = data.waiting.uses.map(() => 0);
	for (const cell of row.cells) {
		if (cell.bin >= selection.from && cell.bin < selection.to) cell.uses.forEach((ns, at) => { uses[at] += ns; });
	}
	return uses;
}

/** Where a step of durations begins, in ns. */
function stepStart(step) {
	const power = 2 ** (step >> 1);
	return step & 1 ? power * 1.5 : power;
}

/** Returns the duration that this share of the selected calls does not exceed: the end of its step. */
function quantile(row, share) {
	const steps = new Map();
	let all = 0;
	for (const cell of row.cells) {
		if (cell.bin < selection.from || cell.bin >= selection.to) continue;
		for (const [step, number] of cell.steps) {
			steps.set(step, (steps.get(step) || 0) + number);
			all += number;
		}
	}
	let left = Math.ceil(share * all);
	for (const [step, number] of [...steps].sort((a, b) => a[0] - b[0])) {
		left -= number;
		if (left <= 0) return Math.min(stepStart(step + 1), sum(row).longest);
	}
	return null;
}
