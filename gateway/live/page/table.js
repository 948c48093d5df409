// Tables whose rows stay while what they show does.

import { byId, make, setAttribute, setText } from './dom.js';

// Each column has a title, a value to sort by and, unless that is what is shown, a text. fill, if there is one, makes the cell instead.
export class Table {
  constructor(id, caption, columns, options = {}) {
    this.element = byId(id);
    this.columns = columns;
    this.options = options;
    this.sort = options.sort || null; // {column, descending}
    this.rows = new Map();
    this.headers = columns.map((column, i) => this.header(column, i));
    this.body = make('tbody', { role: 'rowgroup' });
    // The roles stay when a narrow screen's layout would take them away.
    this.element.setAttribute('role', 'table');
    this.caption = make('caption', { text: caption });
    this.element.append(this.caption, make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...this.headers)), this.body);
    this.empty = make('tr', { role: 'row' }, make('td', { role: 'cell', colspan: columns.length, class: 'empty wide', 'data-label': '', text: options.empty || 'None.' }));
    this.showOrder();
  }

  header(column, i) {
    const attributes = { scope: 'col', role: 'columnheader' };
    if (column.number) attributes.class = 'number';
    if (!this.sort) return make('th', { ...attributes, text: column.title });
    const button = make('button', { type: 'button', text: column.title });
    button.addEventListener('click', () => {
      const same = this.sort.column === i;
      this.sort = { column: i, descending: same ? !this.sort.descending : !!column.number };
      this.showOrder();
      this.options.changed();
    });
    return make('th', attributes, button);
  }

  showOrder() {
    if (!this.sort) return;
    this.headers.forEach((header, i) => {
      if (i !== this.sort.column) header.removeAttribute('aria-sort');
      else header.setAttribute('aria-sort', this.sort.descending ? 'descending' : 'ascending');
    });
  }

  // ordered returns items in the table's order; those without a value are last.
  ordered(items) {
    if (!this.sort) return items;
    const { column, descending } = this.sort;
    const value = this.columns[column].value;
    const sign = descending ? -1 : 1;
    return items.map((item, i) => ({ item, i, v: value(item) })).sort((a, b) => {
      if (a.v === undefined || b.v === undefined) return (a.v === undefined) - (b.v === undefined) || a.i - b.i;
      return sign * (a.v < b.v ? -1 : a.v > b.v ? 1 : 0) || a.i - b.i;
    }).map((one) => one.item);
  }

  // show makes items, which are keyed, the table's rows.
  show(items) {
    const kept = new Set();
    const rows = items.map((item) => {
      const name = item.key;
      kept.add(name);
      let row = this.rows.get(name);
      if (!row) {
        row = this.makeRow();
        this.rows.set(name, row);
      }
      this.fillRow(row, item);
      return row;
    });
    for (const [name, row] of this.rows) {
      if (kept.has(name)) continue;
      row.remove();
      this.rows.delete(name);
    }
    if (rows.length === 0) rows.push(this.empty);
    else this.empty.remove();
    rows.forEach((row, i) => {
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] || null);
    });
  }

  makeRow() {
    return make('tr', { role: 'row' }, ...this.columns.map((column, i) => i === 0
      ? make('th', { scope: 'row', role: 'rowheader' })
      : make('td', { role: 'cell', 'data-label': column.title })));
  }

  fillRow(row, item) {
    this.columns.forEach((column, i) => {
      const cell = row.children[i];
      const text = column.text ? column.text(item) : String(column.value(item));
      const classes = [column.number && 'number', column.wide && 'wide', text === '' && 'none', column.mark && column.mark(item)].filter(Boolean).join(' ');
      setAttribute(cell, 'class', classes);
      if (column.fill) column.fill(cell, item);
      else setText(cell, text);
    });
  }
}

// keyed gives each item of a list a key of its own: its name and, where others before it have that, which one it is. Clients choose their requests' ids,
// and an endpoint that drains may have the address of another.
export function keyed(items, name) {
  const seen = new Map();
  return items.map((item) => {
    const of = name(item), n = seen.get(of) || 0;
    seen.set(of, n + 1);
    return { ...item, key: n + ' ' + of };
  });
}
