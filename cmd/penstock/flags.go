package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// flagSet is a flag.FlagSet whose help reads like the rest of the program: two dashes, and a sentence for each flag.
type flagSet struct {
	*flag.FlagSet
	summary string
	out     io.Writer
}

func newFlags(name, summary string, out io.Writer) *flagSet {
	f := &flagSet{FlagSet: flag.NewFlagSet("penstock "+name, flag.ContinueOnError), summary: summary, out: out}
	f.SetOutput(io.Discard)
	return f
}

// parse reads args. If they end the program, because they are wrong or ask for help, ok is false and code its exit code.
func (f *flagSet) parse(args []string) (code int, ok bool) {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.help()
		return exitOK, false
	case err != nil:
		return f.wrong("%v", err), false
	case f.NArg() > 0:
		return f.wrong("%q is not a flag: this subcommand takes flags only", f.Arg(0)), false
	}
	return exitOK, true
}

// wrong says what is wrong with the command line, and returns the exit code for that.
func (f *flagSet) wrong(format string, args ...any) int {
	fmt.Fprintf(f.out, "%s: %s\nRun %s --help for its flags.\n", f.Name(), fmt.Sprintf(format, args...), f.Name())
	return exitUsage
}

// isSet says whether the command line gave the flag a value.
func (f *flagSet) isSet(name string) (set bool) {
	f.Visit(func(g *flag.Flag) { set = set || g.Name == name })
	return set
}

func (f *flagSet) help() {
	fmt.Fprintf(f.out, "%s\n\nUsage: %s [FLAGS]\n", f.summary, f.Name())
	f.VisitAll(func(g *flag.Flag) {
		value, sentence := flag.UnquoteUsage(g)
		if value != "" {
			value = " " + value
		}
		fmt.Fprintf(f.out, "\n  --%s%s\n      %s", g.Name, value, sentence)
		if g.DefValue != "" && g.DefValue != "false" && g.DefValue != "[]" {
			fmt.Fprintf(f.out, " The default is %s.", g.DefValue)
		}
		fmt.Fprintln(f.out)
	})
}

// listFlag is a flag that may be given several times.
type listFlag []string

// String is the flag's value as help shows it.
func (l *listFlag) String() string { return fmt.Sprint([]string(*l)) }

// Set adds a value.
func (l *listFlag) Set(value string) error {
	*l = append(*l, value)
	return nil
}
