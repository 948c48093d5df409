package engine

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Profile is a model on a GPU: the coefficients of its step-time equation and the sizes that its scheduler works with. The
// coefficients were fitted to published measurements (published_test.go compares them).
type Profile struct {
	// Name is model, tensor parallelism where it is more than one, and GPU.
	Name string
	// Summary describes the profile in a phrase.
	Summary string

	// StepBase (C0) is the part of every step that depends on nothing, in milliseconds.
	StepBase float64
	// WeightTime (Tw) is the time to read the weights once, in milliseconds: the floor of a small batch.
	WeightTime float64
	// ComputeRate (R) is how many tokens a millisecond are computed in a large batch.
	ComputeRate float64
	// PerSequence (Cb) is the time that each sequence of a step adds, in milliseconds.
	PerSequence float64
	// PerContextToken (ckv) is the time to read the KV cache, in nanoseconds for each context token of a decoding sequence.
	PerContextToken float64
	// PerPair (ca) is the attention's compute time, in nanoseconds for each pair of a new token and a token that it attends to.
	PerPair float64
	// PerToken (car) is the all-reduce time between GPUs, in milliseconds for each token.
	PerToken float64
	// Overhead is what the server around the engine (HTTP, tokenizer, queues between processes) adds to the time to first token.
	Overhead time.Duration

	// KVTokens is how many tokens the KV cache holds.
	KVTokens int
	// KVBytesPerToken is what one token takes of the KV cache, in bytes.
	KVBytesPerToken int
	// MaxBatchedTokens is the token budget of a step.
	MaxBatchedTokens int
	// MaxSequences is the most sequences that run at once.
	MaxSequences int
}

// DefaultProfile is the profile that is used where none is named.
const DefaultProfile = "llama3-8b-h100"

const (
	kvBytes8B  = 131072
	kvBytes70B = 327680
)

// Profiles returns every profile that exists. All are fitted to measurements but for the H200's, which are the H100's with times
// that depend on memory scaled by its bandwidth.
func Profiles() []Profile {
	const ms = time.Millisecond
	return []Profile{
		{
			Name: "llama3-8b-a100", Summary: "Llama 3 8B on one A100",
			StepBase: 1.8, WeightTime: 10.3, ComputeRate: 15, PerSequence: .012, PerContextToken: 70, PerPair: 3.7,
			Overhead: 12 * ms, KVTokens: 410_000, KVBytesPerToken: kvBytes8B, MaxBatchedTokens: 2048, MaxSequences: 256,
		},
		{
			Name: "llama3-8b-h100", Summary: "Llama 3 8B on one H100",
			StepBase: 1.8, WeightTime: 6.4, ComputeRate: 46, PerSequence: .012, PerContextToken: 42.5, PerPair: 1.17,
			Overhead: 12 * ms, KVTokens: 420_000, KVBytesPerToken: kvBytes8B, MaxBatchedTokens: 8192, MaxSequences: 1024,
		},
		{
			Name: "llama3-8b-h200", Summary: "Llama 3 8B on one H200 (scaled from the H100 by memory bandwidth, not measured)",
			StepBase: 1.8, WeightTime: 4.6, ComputeRate: 46, PerSequence: .012, PerContextToken: 30, PerPair: 1.17,
			Overhead: 12 * ms, KVTokens: 820_000, KVBytesPerToken: kvBytes8B, MaxBatchedTokens: 8192, MaxSequences: 1024,
		},
		{
			Name: "llama3-70b-tp4-a100", Summary: "Llama 3 70B on four A100",
			StepBase: 2, WeightTime: 25.5, ComputeRate: 6.2, PerSequence: .02, PerContextToken: 44, PerPair: 4.7, PerToken: .003,
			Overhead: 21 * ms, KVTokens: 420_000, KVBytesPerToken: kvBytes70B, MaxBatchedTokens: 2048, MaxSequences: 256,
		},
		{
			Name: "llama3-70b-tp4-h100", Summary: "Llama 3 70B on four H100",
			StepBase: 2, WeightTime: 14.5, ComputeRate: 18.4, PerSequence: .02, PerContextToken: 26.6, PerPair: 1.46, PerToken: .003,
			Overhead: 21 * ms, KVTokens: 420_000, KVBytesPerToken: kvBytes70B, MaxBatchedTokens: 8192, MaxSequences: 1024,
		},
		{
			// No overhead is published for eight GPUs; this is that of four.
			Name: "llama3-70b-tp8-h100", Summary: "Llama 3 70B on eight H100",
			StepBase: 2, WeightTime: 8.6, ComputeRate: 33, PerSequence: .02, PerContextToken: 13.3, PerPair: .73,
			Overhead: 21 * ms, KVTokens: 1_280_000, KVBytesPerToken: kvBytes70B, MaxBatchedTokens: 8192, MaxSequences: 1024,
		},
		{
			Name: "llama3-70b-tp4-h200", Summary: "Llama 3 70B on four H200 (scaled from the H100 by memory bandwidth, not measured)",
			StepBase: 2, WeightTime: 10.4, ComputeRate: 18.4, PerSequence: .02, PerContextToken: 18.6, PerPair: 1.46, PerToken: .003,
			Overhead: 21 * ms, KVTokens: 1_050_000, KVBytesPerToken: kvBytes70B, MaxBatchedTokens: 8192, MaxSequences: 1024,
		},
	}
}

// ProfileNames lists the names of Profiles.
func ProfileNames() []string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// LookupProfile returns the profile of that name; the error lists the names that exist.
func LookupProfile(name string) (Profile, error) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("cannot find profile %q: the profiles are %s", name, strings.Join(ProfileNames(), ", "))
}

// Load is what one step computes.
type Load struct {
	// Tokens is how many new tokens it computes (n).
	Tokens int
	// Sequences is how many sequences they belong to (B).
	Sequences int
	// DecodeContext is the sum of the decoding sequences' contexts.
	DecodeContext int64
	// HalfPairs is twice the number of attention pairs, the sum of n_i*(2*c_i + n_i) over all sequences, where n_i is a sequence's
	// new tokens and c_i its context before the step.
	HalfPairs int64
}

// StepTime is how long a step takes:
//
//	C0 + sqrt(Tw^2 + (n/R)^2) + Cb*B + ckv*sum(context of decoding sequences) + ca*sum(n_i*(c_i + n_i/2)) + car*n
//
// The root is a smooth maximum of reading the weights and of computing the tokens.
func (p *Profile) StepTime(l Load) time.Duration {
	n := float64(l.Tokens)
	compute := n / p.ComputeRate
	// The conversions keep compilers from fusing multiplication and addition, so that every architecture gets the same times.
	ms := p.StepBase + math.Sqrt(float64(p.WeightTime*p.WeightTime)+float64(compute*compute))
	ms += float64(p.PerSequence * float64(l.Sequences))
	ms += float64(p.PerToken * n)
	ns := float64(p.PerContextToken * float64(l.DecodeContext))
	ns += float64(p.PerPair * float64(l.HalfPairs) / 2)
	return time.Duration(float64(ms*1e6) + ns)
}

// Config is a profile and how an engine runs it.
type Config struct {
	Profile
	// BlockTokens is the size of a KV block in tokens, the granularity of the prefix cache. 0 is DefaultBlockTokens. Traces that
	// identify prefixes by larger blocks run faster with theirs.
	BlockTokens int
	// EveryToken makes Step report every token, for servers that stream. Without it only first and last tokens are reported.
	EveryToken bool
}

// DefaultBlockTokens is vLLM's block size.
const DefaultBlockTokens = 16

// Validate fills defaults in and checks that an engine can run with the configuration.
func (c *Config) Validate() error {
	if c.BlockTokens == 0 {
		c.BlockTokens = DefaultBlockTokens
	}
	switch {
	case c.BlockTokens < 1 || c.BlockTokens > 1<<16:
		return fmt.Errorf("cannot use a block size of %d tokens: it must be between 1 and 65536", c.BlockTokens)
	case c.MaxSequences < 1:
		return fmt.Errorf("cannot run at most %d sequences: it must be at least 1", c.MaxSequences)
	case c.MaxBatchedTokens < c.MaxSequences:
		return fmt.Errorf("cannot use a budget of %d tokens a step with %d sequences: each sequence needs a token", c.MaxBatchedTokens, c.MaxSequences)
	case c.KVTokens < c.BlockTokens:
		return fmt.Errorf("cannot use a KV cache of %d tokens: it must hold at least one block of %d", c.KVTokens, c.BlockTokens)
	case c.KVTokens/c.BlockTokens > math.MaxInt32:
		return fmt.Errorf("cannot use a KV cache of %d tokens: it must have less than 2^31 blocks of %d", c.KVTokens, c.BlockTokens)
	case c.Overhead < 0:
		return fmt.Errorf("cannot use a serving overhead of %v: it must not be negative", c.Overhead)
	}
	for _, coefficient := range []struct {
		name  string
		value float64
	}{
		{"StepBase", c.StepBase}, {"WeightTime", c.WeightTime}, {"PerSequence", c.PerSequence},
		{"PerContextToken", c.PerContextToken}, {"PerPair", c.PerPair}, {"PerToken", c.PerToken},
	} {
		if !(coefficient.value >= 0) || math.IsInf(coefficient.value, 0) {
			return fmt.Errorf("cannot use %s = %v: it must be a number that is not negative", coefficient.name, coefficient.value)
		}
	}
	if !(c.ComputeRate > 0) || c.StepTime(Load{Tokens: 1, Sequences: 1}) <= 0 {
		return fmt.Errorf("cannot use ComputeRate = %v with StepBase = %v: a step must take time", c.ComputeRate, c.StepBase)
	}
	return nil
}
