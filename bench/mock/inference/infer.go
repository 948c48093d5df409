package inference

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Names of inputs that say how much is generated; every other input is part of the prompt.
const (
	MaxTokensInput = "max_tokens"
	StreamInput    = "stream"
)

// Ask is what a request for an inference asks of a language model.
type Ask struct {
	// Prompt is what the inputs hold, as text or as little-endian numbers.
	Prompt []byte
	// MaxTokens is how many tokens are wanted; nil if the request does not say.
	MaxTokens *int
	// Whole is whether a stream of responses is unwanted: an input named stream is false.
	Whole bool
	// Raw is whether tensors came in raw form, which is then the answer's form, too.
	Raw bool
}

// Ask reads the request's tensors. The number of tokens may also be a parameter. An error says which input is wrong, and how.
func (r *ModelInferRequest) Ask() (a Ask, err error) {
	if len(r.GetInputs()) == 0 {
		return a, fmt.Errorf("inputs must be a list of at least one tensor")
	}
	raw := r.GetRawInputContents()
	if a.Raw = len(raw) > 0; a.Raw && len(raw) != len(r.GetInputs()) {
		return a, fmt.Errorf("raw_input_contents has %d tensors and inputs has %d: it must have each or none", len(raw), len(r.GetInputs()))
	}
	if p := r.GetParameters()[MaxTokensInput]; p != nil {
		n, err := p.integer()
		if err != nil {
			return a, fmt.Errorf("parameter %s %w", MaxTokensInput, err)
		}
		a.MaxTokens = &n
	}
	for i, in := range r.GetInputs() {
		if in.GetName() == "" || in.GetDatatype() == "" || len(in.GetShape()) == 0 {
			return a, fmt.Errorf("inputs[%d] must have a name, a shape and a datatype", i)
		}
		var rawBytes []byte
		if a.Raw {
			rawBytes = raw[i]
		}
		if err := a.add(in, rawBytes); err != nil {
			return a, fmt.Errorf("inputs[%d] (%s) %w", i, in.GetName(), err)
		}
	}
	return a, nil
}

// add reads one tensor.
func (a *Ask) add(in *ModelInferRequest_InferInputTensor, raw []byte) (err error) {
	if !a.Raw {
		raw = in.GetContents().bytes()
	} else if in.GetDatatype() == "BYTES" {
		if raw, err = joinElements(raw); err != nil {
			return err
		}
	}
	switch in.GetName() {
	case MaxTokensInput:
		n, err := littleEndian(raw)
		if err != nil {
			return err
		}
		a.MaxTokens = &n
	case StreamInput:
		n, err := littleEndian(raw)
		if err != nil {
			return err
		}
		a.Whole = n == 0
	default:
		a.Prompt = append(a.Prompt, raw...)
	}
	return nil
}

// joinElements takes the lengths (32 bits, little-endian) out of raw tensor contents of datatype BYTES.
func joinElements(raw []byte) (text []byte, err error) {
	for len(raw) > 0 {
		if len(raw) < 4 {
			return nil, fmt.Errorf("has %d bytes where the length of an element must be", len(raw))
		}
		n := binary.LittleEndian.Uint32(raw)
		if raw = raw[4:]; uint64(n) > uint64(len(raw)) {
			return nil, fmt.Errorf("has an element of %d bytes with %d bytes left", n, len(raw))
		}
		text = append(text, raw[:n]...)
		raw = raw[n:]
	}
	return text, nil
}

// RawText is the raw tensor contents of one element of datatype BYTES.
func RawText(text []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text))), text...)
}

// bytes are the contents as raw contents would be, without the lengths of texts.
func (c *InferTensorContents) bytes() (b []byte) {
	for _, v := range c.GetBytesContents() {
		b = append(b, v...)
	}
	for _, v := range c.GetBoolContents() {
		b = appendBool(b, v)
	}
	b = append32(b, c.GetIntContents())
	b = append32(b, c.GetUintContents())
	b = append64(b, c.GetInt64Contents())
	b = append64(b, c.GetUint64Contents())
	b = appendFloats(b, c.GetFp32Contents())
	return appendDoubles(b, c.GetFp64Contents())
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func append32[T int32 | uint32](b []byte, values []T) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func append64[T int64 | uint64](b []byte, values []T) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func appendFloats(b []byte, values []float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func appendDoubles(b []byte, values []float64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// littleEndian reads the one integer that a tensor of 1 to 8 bytes holds.
func littleEndian(b []byte) (int, error) {
	switch len(b) {
	case 1:
		return int(b[0]), nil
	case 2:
		return int(int16(binary.LittleEndian.Uint16(b))), nil
	case 4:
		return int(int32(binary.LittleEndian.Uint32(b))), nil
	case 8:
		return int(binary.LittleEndian.Uint64(b)), nil
	}
	return 0, fmt.Errorf("has %d bytes: it must be one integer", len(b))
}

// integer is the parameter's value, which some clients send as text.
func (p *InferParameter) integer() (int, error) {
	switch v := p.GetParameterChoice().(type) {
	case *InferParameter_Int64Param:
		return int(v.Int64Param), nil
	case *InferParameter_Uint64Param:
		return int(min(v.Uint64Param, math.MaxInt)), nil
	case *InferParameter_StringParam:
		n, err := strconv.Atoi(v.StringParam)
		if err != nil {
			return 0, fmt.Errorf("is %q: it must be an integer", v.StringParam)
		}
		return n, nil
	}
	return 0, fmt.Errorf("must be an integer")
}
