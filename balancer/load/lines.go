package load

import (
	"bytes"
	"errors"
	"io"
)

// maxPage is the most of a page that is read, in bytes. A vLLM server's has about 100 KiB, and one of Triton with many models a few times that.
const maxPage = 4 << 20

// maxLine is the longest line that is read, in bytes; longer ones are passed over.
const maxLine = 32 << 10

var errLongPage = errors.New("the page has more than 4 MiB")

// eachLine calls use with each line of a page, without its end. The line lies in buf, and so is good only until use returns. On error the
// page was not read to its end.
func eachLine(page io.Reader, buf *[maxLine]byte, use func(line []byte)) error {
	begun, skipping := 0, false // bytes of buf that a line begins with, and whether it is too long already
	for total := 0; ; {
		n, err := page.Read(buf[begun:])
		total += n
		if total > maxPage {
			return errLongPage
		}
		data := buf[:begun+n]
		searched := begun
		for {
			end := bytes.IndexByte(data[searched:], '\n')
			if end < 0 {
				break
			}
			end += searched
			if !skipping {
				use(data[:end])
			}
			data, searched, skipping = data[end+1:], 0, false
		}
		switch {
		case err == io.EOF:
			if len(data) > 0 && !skipping {
				use(data)
			}
			return nil
		case err != nil:
			return err
		case len(data) == len(buf) || skipping:
			begun, skipping = 0, true
		default:
			begun = copy(buf[:], data)
		}
	}
}
