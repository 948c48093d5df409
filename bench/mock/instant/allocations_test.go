package instant

import "testing"

func TestExchangesDoNotAllocate(t *testing.T) {
	for name, text := range map[string]string{"whole": post(chat, "Accept: */*\r\n", whole5), "stream": post(chat, "", withUsage5)} {
		s := tapeServer()
		client := &tape{piece: 1 << 20}
		c := newConn(s, client)
		input := []byte(text)
		exchange := func() {
			client.in, client.out = input, client.out[:0]
			if again, err := c.exchange(); !again || err != nil {
				t.Fatal(again, err)
			}
		}
		if n := testing.AllocsPerRun(100, exchange); n > 0 {
			t.Errorf("%s: %v allocations for a request", name, n)
		}
	}
}
