package openai

import (
	"bytes"
	"io"
	"mime/multipart"
	"testing"
)

// FuzzForm compares the scan of forms that the standard library wrote with what it reads from them.
func FuzzForm(f *testing.F) {
	f.Add("XX", "file", "a.wav", []byte("RIFF\r\n--X"), "model", []byte("whisper-1"), uint8(7))
	f.Add("----WebKitFormBoundary7MA4YWxkTrZu0gW", "model", "", []byte("\r\n--"), "language", []byte("en"), uint8(0))
	f.Add("a b", "mo\"del", "\\", []byte(""), "model", []byte(""), uint8(1))
	f.Fuzz(func(t *testing.T, boundary, name1, file1 string, content1 []byte, name2 string, content2 []byte, step uint8) {
		if len(name1)+len(file1)+len(name2) > maxPartHeaders/4 {
			t.Skip("header blocks are bounded")
		}
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		if w.SetBoundary(boundary) != nil {
			t.Skip("not a boundary")
		}
		if file1 != "" {
			part, _ := w.CreateFormFile(name1, file1)
			part.Write(content1)
		} else {
			w.WriteField(name1, string(content1))
		}
		w.WriteField(name2, string(content2))
		w.Close()

		want, wantState, err := firstField(body.Bytes(), boundary)
		if err != nil || len(want) > maxField {
			t.Skip("not a form, for the oracle, or longer than is read")
		}
		if held := []byte("--" + boundary); bytes.Contains(content1, held) || bytes.Contains(content2, held) {
			t.Skip("content that holds the boundary is refused; the oracle guesses")
		}
		contentType := w.FormDataContentType()
		s, state := scanSplit(contentType, body.String(), int(step)+1)
		if state != wantState {
			t.Fatalf("got state %d, want %d:\n%q\n%q", state, wantState, contentType, body.Bytes())
		}
		if got := s.Model(body.Bytes(), nil); state == Found && !bytes.Equal(got, want) {
			t.Fatalf("got %q, want %q:\n%q", got, want, body.Bytes())
		}
	})
}

func firstField(body []byte, boundary string) (model []byte, state State, err error) {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return nil, Absent, nil
		}
		if err != nil {
			return nil, Invalid, err
		}
		if part.FormName() == "model" && part.FileName() == "" {
			model, err = io.ReadAll(part)
			return model, Found, err
		}
	}
}
