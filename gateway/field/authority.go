package field

// ValidAuthority reports whether b is a host with an optional port (RFC 3986 3.2.2), such as Host holds. The host is a name of
// letters, digits and -._~, an IPv4 address, or an IPv6 address in brackets; percent-escapes, sub-delimiters, zones and user
// information are refused. The port may be empty, but not with needPort.
func ValidAuthority(b []byte, needPort bool) bool {
	i := 0
	if len(b) > 0 && b[0] == '[' {
		for i < len(b) && b[i] != ']' {
			i++
		}
		if i == len(b) || !validIPv6(b[1:i]) {
			return false
		}
		i++
	} else {
		for i < len(b) && Classes[b[i]]&ClassHost != 0 {
			i++
		}
	}
	if i == 0 {
		return false
	}
	if i == len(b) {
		return !needPort
	}
	port := b[i+1:]
	return b[i] == ':' && validPort(port) && (len(port) > 0 || !needPort)
}

// validPort reports whether b is empty or at most five digits of a number up to 65535.
func validPort(b []byte) bool {
	if len(b) > 5 {
		return false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

// validIPv6 reports whether b is an IPv6 address as RFC 3986 3.2.2 writes it, without brackets and zone.
func validIPv6(b []byte) bool {
	groups, elided, i := 0, false, 0
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		elided, i = true, 2
	}
	for i < len(b) {
		start := i
		for i < len(b) && Classes[b[i]]&ClassHex != 0 {
			i++
		}
		if i < len(b) && b[i] == '.' {
			groups += 2
			return validIPv4(b[start:]) && groups <= 8 && elided == (groups < 8)
		}
		if digits := i - start; digits == 0 || digits > 4 {
			return false
		}
		if groups++; groups == 8 || i == len(b) {
			break
		}
		if b[i] != ':' || i+1 == len(b) {
			return false
		}
		i++
		if b[i] == ':' {
			if elided {
				return false
			}
			elided = true
			i++
		}
	}
	return i == len(b) && elided == (groups < 8)
}

// validIPv4 reports whether b is four decimal octets without leading zeros.
func validIPv4(b []byte) bool {
	for octet := range 4 {
		if octet > 0 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
		n, digits := 0, 0
		for digits < len(b) && digits < 4 && b[digits] >= '0' && b[digits] <= '9' {
			n = n*10 + int(b[digits]-'0')
			digits++
		}
		if digits == 0 || n > 255 || digits > 1 && b[0] == '0' {
			return false
		}
		b = b[digits:]
	}
	return len(b) == 0
}
