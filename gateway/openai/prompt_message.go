package openai

// What ends a string, and a message before its role, in the hashed text. Neither byte is ever in UTF-8, so "a", "bc" is not "ab", "c".
var (
	endOfString  = []byte{0xfe}
	endOfMessage = []byte{0xff}
)

// take counts p, which is a piece of what is being read, and hashes it.
func (s *PromptScan) take(p []byte) {
	if s.kind != isMedia {
		s.size.text += int64(len(p))
	}
	if s.kind == isTools || s.kind == isInstructions {
		s.aside.feed(p)
		return
	}
	s.hash(p)
}

// hash hashes p as the system's or as the conversation's; as both while it is not known whose it is, as many clients write a message's
// content before its role.
func (s *PromptScan) hash(p []byte) {
	if !s.api.hasKeys() {
		return
	}
	if s.inSystem || s.undecided {
		s.system.feed(p)
	}
	if !s.inSystem {
		s.talk.feed(p)
	}
}

func (s *PromptScan) beginMessage() {
	if s.leading {
		s.undecided, s.before, s.sizeBefore = true, s.system, s.size
	}
	s.size.messages++
	s.roleLen = 0
}

// setRole takes note of the role of the message that is being read.
func (s *PromptScan) setRole(role []byte) {
	s.roleLen = uint8(copy(s.role[:], role))
	if s.undecided {
		s.decide(isSystemRole(role))
	}
}

// decide settles whose the message is, all before which were the system's.
func (s *PromptScan) decide(system bool) {
	s.undecided, s.inSystem, s.leading = false, system, system
	if system {
		s.talk = keyChain{}
	} else {
		s.system = s.before
	}
}

func (s *PromptScan) endMessage() {
	if s.undecided {
		s.decide(false)
	}
	s.hash(endOfMessage)
	s.hash(s.role[:s.roleLen])
	if s.inSystem {
		s.systemSize.grow(s.sizeBefore, s.size)
	}
	s.inSystem = false
}
