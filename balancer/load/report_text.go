package load

import "bytes"

// readText reads name=value pairs that commas separate. Names of a group begin with the group's name and a dot. Older servers write a
// colon for the equals sign.
func (r *Report) readText(text []byte) error {
	for pair := range bytes.SplitSeq(text, []byte{','}) {
		pair = bytes.Trim(pair, " \t")
		if len(pair) == 0 {
			continue
		}
		at := bytes.IndexAny(pair, "=:")
		if at < 0 {
			return malformed("a pair has no equals sign", pair)
		}
		value, ok := parseNumber(bytes.Trim(pair[at+1:], " \t"))
		if !ok {
			return malformed("a value is no number", pair)
		}
		g, name := top, bytes.TrimRight(pair[:at], " \t")
		if first, rest, ok := bytes.Cut(name, []byte{'.'}); ok {
			g, name = groupOf(first), rest
		}
		if err := r.set(g, name, value); err != nil {
			return err
		}
	}
	return nil
}
