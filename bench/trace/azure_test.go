package trace

import (
	"slices"
	"strings"
	"testing"
)

func TestReadAzure(t *testing.T) {
	tr := mustRead(t, ReadAzure, azureHeader+`
2023-11-16 18:15:47.0000000,374,44
2023-11-16 18:15:46.5000000,1,0

2023-11-16 18:15:47.0000000,0,2
2023-11-16 18:15:50.2500001,8,9`)
	if got, want := times(tr), []int{0, 500, 500, 3750}; !slices.Equal(got, want) {
		t.Errorf("times %v, want %v", got, want)
	}
	want := [][2]int{{1, 1}, {374, 44}, {1, 2}, {8, 9}}
	for i, r := range tr.Requests {
		if r.PromptTokens != want[i][0] || r.OutputTokens != want[i][1] || r.Blocks != nil || r.SystemTokens != 0 || r.Session != 0 {
			t.Errorf("request %d is %+v", i, r)
		}
	}
	if tr.BlockTokens != 16 {
		t.Errorf("blocks of %d tokens", tr.BlockTokens)
	}
}

func TestReadAzureWithZone(t *testing.T) {
	tr := mustRead(t, ReadAzure, azureHeader+"\n2024-05-10 00:00:00.009930+00:00,1,1\n2024-05-10 00:00:01.009930+00:00,1,1\n")
	if got := times(tr); !slices.Equal(got, []int{0, 1000}) {
		t.Errorf("times %v", got)
	}
}

func TestReadAzureErrors(t *testing.T) {
	const at = "2023-11-16 18:15:46.6805900"
	header := azureHeader + "\n"
	checkErrors(t, ReadAzure, []badInput{
		{"empty", "", "cannot read an empty trace: it must begin with the header TIMESTAMP,ContextTokens,GeneratedTokens"},
		{"no header", at + ",1,1", `cannot read line 1: the header is "2023-11-16 18:15:46.6805900,1,1", want TIMESTAMP,ContextTokens,GeneratedTokens`},
		{"no rows", header, "cannot read a trace without requests: there is nothing after the header"},
		{"columns", header + at + ",1,1,1", "cannot read line 2: it has 4 columns, want 3: TIMESTAMP,ContextTokens,GeneratedTokens"},
		{"time", header + at + ",1,1\nyesterday,1,1",
			`cannot read line 3: TIMESTAMP is "yesterday", want a time such as 2023-11-16 18:15:46.6805900`},
		{"long", header + strings.Repeat("9", 99) + ",1,1",
			`cannot read line 2: TIMESTAMP is "` + strings.Repeat("9", 60) + `"..., want a time such as 2023-11-16 18:15:46.6805900`},
		{"far away", header + at + ",1,1\n2025-11-16 18:15:46,1,1", "cannot read line 3: it is more than 366 days from the first row"},
		{"farther away", header + "0001-01-01 00:00:00,1,1\n9999-11-16 18:15:46,1,1",
			"cannot read line 3: it is more than 366 days from the first row"},
		{"prompt", header + at + ",x,1", `cannot read line 2: ContextTokens is "x", want a whole number from 0 to 999999999`},
		{"negative", header + at + ",1,-1", `cannot read line 2: GeneratedTokens is "-1", want a whole number from 0 to 999999999`},
		{"huge", header + at + ",1000000000,1", `cannot read line 2: ContextTokens is "1000000000", want a whole number from 0 to 999999999`},
		{"fraction", header + at + ",1,1.5", `cannot read line 2: GeneratedTokens is "1.5", want a whole number from 0 to 999999999`},
	})
}

func FuzzReadAzure(f *testing.F) {
	f.Add(azureHeader + "\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:40,0,0\n")
	f.Add(azureHeader + "\r\n2024-05-10 00:00:00.009930+00:00,1,999999999\r\n")
	f.Add("a,b,c\n1,2,3")
	f.Fuzz(func(t *testing.T, input string) {
		if tr, err := ReadAzure(strings.NewReader(input)); err == nil {
			mustValidate(t, tr)
		}
	})
}
