package grpc

import "unicode/utf8"

// maxMessage is how much of a status message is sent, in bytes. It may quote what the client sent; and percent-encoded, and once more in
// the details, it has to fit the 8 KiB of header fields that clients take by default. Otherwise they report that instead of the status.
const maxMessage = 1024

const upperHex = "0123456789ABCDEF"

// AppendMessage appends msg as the value of a grpc-message field: percent-encoded UTF-8, in which all bytes from 0x20 to 0x7E but '%'
// stand for themselves. Spaces at either end are encoded too, as field values cannot have any there (RFC 9113, section 8.2.1). Bytes that
// are no UTF-8 become U+FFFD, and what is beyond 1 KiB is cut off.
func AppendMessage(dst []byte, msg string) []byte {
	msg = clip(msg)
	for i := 0; i < len(msg); {
		c := msg[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(msg[i:])
			dst = appendPercentRune(dst, r)
			i += size
			continue
		}
		outer := i == 0 || i == len(msg)-1
		if c < ' ' || c > '~' || c == '%' || c == ' ' && outer {
			dst = appendPercent(dst, c)
		} else {
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// clip returns the first maxMessage bytes of msg, or less to leave no part of a character.
func clip(msg string) string {
	if len(msg) <= maxMessage {
		return msg
	}
	end := maxMessage
	for end > maxMessage-utf8.UTFMax && !utf8.RuneStart(msg[end]) {
		end--
	}
	return msg[:end]
}

func appendPercentRune(dst []byte, r rune) []byte {
	var encoded [utf8.UTFMax]byte
	for _, c := range encoded[:utf8.EncodeRune(encoded[:], r)] {
		dst = appendPercent(dst, c)
	}
	return dst
}

func appendPercent(dst []byte, c byte) []byte {
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}
