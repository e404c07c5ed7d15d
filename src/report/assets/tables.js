// Elements and tables. Text goes into the page as text: nothing here writes markup.

function element(name, properties, ...children) {
	const made = document.createElement(name);
	for (const [key, value] of Object.entries(properties || {})) {
		if (key in made) made[key] = value;
		else made.setAttribute(key, value);
	}
	made.append(...children.filter((child) => child !== null && child !== undefined));
	return made;
}

const byId = (id) => document.getElementById(id);

/** So many rows of a table are shown at first. */
const FEW_ROWS = 12;

/**
 * Makes a table that is sorted by a click on a title. A column has a title, a `value` of a row, which is a number or a text,
 * and the format of numbers; `isNear` says whether these are estimates. `isWide` columns have long text.
 */
function sortedTable(place, { caption, columns, sort, onRow, empty }) {
	const state = { sort, isDown: true, rows: [], last: [], isLong: false };
	const head = element('tr');
	const titles = columns.map((column, at) => {
		const button = element('button', { type: 'button', textContent: column.title });
		const title = element('th', { scope: 'col', className: column.format ? 'number' : '' }, button);
		button.addEventListener('click', () => {
			state.isDown = state.sort === at ? !state.isDown : Boolean(column.format);
			state.sort = at;
			show();
		});
		head.append(title);
		return title;
	});
	const body = element('tbody');
	const note = element('p', { className: 'note', hidden: true, textContent: empty || 'Nothing in the selected time.' });
	const more = element('button', { type: 'button', className: 'more' });
	more.addEventListener('click', () => {
		state.isLong = !state.isLong;
		show();
	});
	const made = element('table', {}, element('caption', { textContent: caption }), element('thead', {}, head), body);
	const scroller = element('div', { className: 'scroller' }, made);
	place.append(scroller, note, more);

	function cell(column, row, most) {
		const value = column.value(row);
		const made = element('td', { className: column.format ? 'number' : column.isWide ? 'wide' : '' });
		if (typeof value === 'number') {
			made.setAttribute('data-value', value);
			made.textContent = (column.isNear && column.isNear() ? '≈ ' : '') + (value === 0 && column.hidesZero ? '' : formats[column.format](value));
			if (column.hasBar && most > 0 && value > 0) {
				const bar = element('span', { className: 'bar' });
				bar.style.width = `${Math.max(1, value / most * 100)}%`;
				made.append(bar);
			}
		} else {
			made.textContent = value === null || value === undefined ? '' : value;
			if (made.textContent.length > 60) made.title = made.textContent;
		}
		return made;
	}

	function show() {
		const column = columns[state.sort];
		const key = (row) => { const value = column.value(row); return value === null || value === undefined ? -1 : value; };
		const order = (a, b) => (typeof key(a) === 'string' ? key(a).localeCompare(key(b)) : key(a) - key(b));
		const rows = [...state.rows].sort((a, b) => (state.isDown ? order(b, a) : order(a, b))).concat(state.last);
		titles.forEach((title, at) => {
			if (at === state.sort) title.setAttribute('aria-sort', state.isDown ? 'descending' : 'ascending');
			else title.removeAttribute('aria-sort');
		});
		const most = columns.map((column) => (column.hasBar ? Math.max(0, ...rows.map((row) => column.value(row) || 0)) : 0));
		body.replaceChildren(...rows.map((row, at) => {
			const made = element('tr', { className: row.isOthers ? 'others' : '' }, ...columns.map((column, at) => cell(column, row, most[at])));
			made.setAttribute('data-key', JSON.stringify(row.keys || []));
			if (at >= FEW_ROWS && !state.isLong) made.classList.add('further');
			if (onRow && !row.isOthers) {
				made.classList.add('chosen');
				made.addEventListener('click', () => onRow(row));
			}
			return made;
		}));
		scroller.hidden = rows.length === 0;
		note.hidden = rows.length > 0;
		more.hidden = rows.length <= FEW_ROWS;
		more.textContent = state.isLong ? 'Show fewer' : `Show all ${formatCount(rows.length)} rows`;
	}

	return {
		/** Shows rows; `last` are below all others. */
		show(rows, last = []) {
			state.rows = rows;
			state.last = last;
			show();
		},
	};
}

/** Makes radio buttons; `chosen` is called with the one that is chosen. */
function radios(place, name, choices, chosen) {
	choices.forEach(({ id, title }, at) => {
		const input = element('input', { type: 'radio', name, value: id, checked: at === 0 });
		input.addEventListener('change', () => chosen(id));
		place.append(element('label', {}, input, ` ${title}`));
	});
}
