package instant

import "testing"

func TestScanFindsKeysAndNotText(t *testing.T) {
	for body, want := range map[string]options{
		``:                {tokens: 64},
		`{}`:              {tokens: 64},
		`{"stream":true}`: {stream: true, tokens: 64},
		"{\"stream\" :\n true,\"max_tokens\" : 12 }":              {stream: true, tokens: 12},
		`{"stream":false,"max_tokens":12}`:                        {tokens: 12},
		`{"max_completion_tokens":3,"max_tokens":12}`:             {tokens: 3},
		`{"max_tokens":12,"max_completion_tokens":3}`:             {tokens: 3},
		`{"max_tokens":null}`:                                     {tokens: 64},
		`{"stream_options":{"include_usage":true},"stream":true}`: {stream: true, usage: true, tokens: 64},
		`{"stream_options":{"include_usage":true}}`:               {tokens: 64},
		`{"content":"say \"stream\":true, \"max_tokens\":5"}`:     {tokens: 64},
		`{"content":"stream","role":"max_tokens"}`:                {tokens: 64},
		`{"content":["stream"],"x":"\"","max_tokens":7}`:          {tokens: 7},
		`{"max_tokens":"9"}`:                                      {tokens: 64},
		`{"max_tokens"`:                                           {tokens: 64},
		`{"stream":`:                                              {tokens: 64},
	} {
		if got := scan([]byte(body), 64); got != want {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
}
