package config

import (
	"cmp"
	"fmt"
	"slices"
)

// maxErrors is how many errors are kept. It is far more than anybody reads, and bounds what a file of nothing but errors costs.
const maxErrors = 1000

// spot is a place in a file; its zero value is no place.
type spot struct{ line, column int }

// report collects errors with their places.
type report struct {
	file   string
	spots  map[string]spot     // where each field of the file stands, by path; nil if there is no file
	broken map[string]struct{} // fields whose value is not what the file says, as an error told
	errs   Errors
	full   bool // there were more errors than are kept, or going on is pointless: no more are added
}

func newReport(file string) *report {
	return &report{file: file, broken: make(map[string]struct{})}
}

// at adds an error at a known place.
func (r *report) at(s spot, path, problem, want string) {
	if r.full {
		return
	}
	if len(r.errs) == maxErrors {
		r.full = true
		path, problem, want = "", fmt.Sprintf("has more than %d errors", maxErrors), "correct those that are listed first"
	}
	r.errs = append(r.errs, Error{File: r.file, Line: s.line, Column: s.column, Field: path, Problem: problem, Want: want})
}

// value adds an error about the field at path and marks the field as broken, so that no error follows from this one.
func (r *report) value(path, problem, want string) {
	r.field(path, problem, want)
	r.broken[path] = struct{}{}
}

// field adds an error about the field at path, unless it only follows from another: unless the field or one of those that the
// error needs to be true is broken.
func (r *report) field(path, problem, want string, needs ...string) {
	if r.isBroken(path) {
		return
	}
	for _, n := range needs {
		if r.isBroken(n) || r.hasBroken(n) {
			return
		}
	}
	r.at(r.find(path), path, problem, want)
}

// isBroken says whether path, or anything that it is part of, is broken.
func (r *report) isBroken(path string) bool {
	for ; ; path = parent(path) {
		if _, ok := r.broken[path]; ok {
			return true
		}
		if path == "" {
			return false
		}
	}
}

// hasBroken says whether anything under path is broken.
func (r *report) hasBroken(path string) bool {
	for b := range r.broken {
		if within(b, path) {
			return true
		}
	}
	return false
}

// find is where the field at path stands, or, if the file does not have it, where it would.
func (r *report) find(path string) spot {
	if r.spots == nil {
		return spot{}
	}
	for ; ; path = parent(path) {
		if s, ok := r.spots[path]; ok {
			return s
		}
		if path == "" {
			return spot{1, 1}
		}
	}
}

// err returns the errors in the order of the file, or nil if there are none.
func (r *report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.errs
}
