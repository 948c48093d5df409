package dispatch

import "testing"

func TestLongestGap(t *testing.T) {
	for _, c := range []struct {
		name               string
		sent               []int64
		first, last, pause int64
	}{
		{"nothing", nil, 0, 0, 0},
		{"one piece", []int64{7}, 7, 7, 0},
		{"in the middle", []int64{7, 9, 20, 25}, 7, 25, 11},
		{"at the end", []int64{7, 9, 30}, 7, 30, 21},
		{"at once", []int64{7, 7, 7}, 7, 7, 0},
	} {
		var x Exchange
		for _, now := range c.sent {
			x.SentBody(now)
		}
		if x.FirstToken != c.first || x.LastToken != c.last || x.LongestGap != c.pause {
			t.Errorf("%s: first %d, last %d, longest pause %d; want %d, %d, %d", c.name, x.FirstToken, x.LastToken, x.LongestGap, c.first, c.last, c.pause)
		}
	}
}
