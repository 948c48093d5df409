package loadgen

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

func TestRequestsCarryWhatWasAskedFor(t *testing.T) {
	tr := every(0, 2)
	tr.Requests[1].Session = 0xabc
	var mu sync.Mutex
	sessions := make(map[string]int)
	o := Options{API: Completions, Header: http.Header{"Authorization": {"Bearer x"}, "Host": {"models.example"}}}
	o.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/prefix/v1/completions" || r.Host != "models.example" || r.Header.Get("Authorization") != "Bearer x" ||
			r.Header.Get("Content-Type") != "application/json" || r.ContentLength < 1 || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s %s %s %v", r.Method, r.Host, r.URL, r.Header)
		}
		mu.Lock()
		sessions[r.Header.Get("x-session-id")]++
		mu.Unlock()
		answerStream(w, events(`{"choices":[{"text":"x"}]}`, usageEvent, doneEvent))
	}) + "/prefix/"
	mustRun(t, t.Context(), tr, o)
	if len(sessions) != 2 || sessions[""] != 1 || sessions["session-abc"] != 1 {
		t.Errorf("sessions %v", sessions)
	}
}

func TestAlarms(t *testing.T) {
	precise, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []alarm{precise, newTimerAlarm()} {
		defer a.close()
		for _, d := range []time.Duration{-time.Second, 0, 1, 3 * time.Millisecond} {
			begun := time.Now()
			for time.Since(begun) < d {
				a.sleep(d - time.Since(begun))
			}
		}
		a.sleep(time.Nanosecond)
		slept := make(chan struct{})
		go func() {
			defer close(slept)
			a.sleep(time.Hour)
		}()
		a.interrupt()
		<-slept
		a.interrupt()
		a.sleep(time.Hour) // does not sleep any more
	}
}
