package config

import "strings"

// maxSuggestFrom bounds the names that a misspelt one is compared with, so that an absurd file is refused as fast as it is read.
const maxSuggestFrom = 256

// closest returns the one of known that word most likely misspells, or nothing if none is near.
func closest(word string, known []string) string {
	if len(known) > maxSuggestFrom {
		known = known[:maxSuggestFrom]
	}
	best, bestDistance := "", min(3, (len(word)+2)/3)+1
	wanted := plain(word)
	for _, k := range known {
		if plain(k) == wanted {
			return k
		}
		if d := distance(word, k, bestDistance); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "")

// plain drops what differs between camelCase, snake_case and kebab-case.
func plain(s string) string {
	return separators.Replace(strings.ToLower(s))
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours (optimal string alignment) between a and b. It
// returns limit as soon as the count cannot be less.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}

// oneOf says which words are right, the one that was probably meant first.
func oneOf(word string, known []string) string {
	all := "want one of " + strings.Join(known, ", ")
	if near := closest(word, known); near != "" {
		return "did you mean " + near + "? " + all
	}
	return all
}
