package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestPausesOfStreams has each engine relay a stream whose second piece is made when the client has got the first one.
func TestPausesOfStreams(t *testing.T) {
	next := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = both
	server.Start()
	defer server.Close()
	for _, endpoint := range []string{"http", "h2c"} {
		for _, client := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(client+" to "+endpoint, func(t *testing.T) {
				r := start(t, fmt.Sprintf("pools:\n  main: {endpoints: [\"%s://%s\"]}\n", endpoint, server.Listener.Addr()))
				transport := &http.Transport{Protocols: new(http.Protocols)}
				transport.Protocols.SetHTTP1(client == "HTTP/1.1")
				transport.Protocols.SetUnencryptedHTTP2(client == "HTTP/2")
				defer transport.CloseIdleConnections()
				request, err := http.NewRequest(http.MethodPost, r.url("/"), nil)
				if err != nil {
					t.Fatal(err)
				}
				response, err := transport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				piece := make([]byte, len("data: 0\n\n"))
				for range 3 {
					if _, err := io.ReadFull(response.Body, piece); err != nil {
						t.Fatal(err)
					}
					next <- struct{}{}
				}
				io.Copy(io.Discard, response.Body)
				r.access.await(t, 1)
				const name = "penstock_inter_token_gap_max_seconds"
				count, sum := r.metric(name+`_count{pool="main",route="default"}`), r.metric(name+`_sum{pool="main",route="default"}`)
				whole := r.metric(`penstock_request_duration_seconds_sum{pool="main",route="default"}`)
				if count != "1" || sum == "0" || number(t, sum) >= number(t, whole) {
					t.Errorf("%s streams with a longest pause of %s s in all, of requests that took %s s", count, sum, whole)
				}
			})
		}
	}
}

func number(t testing.TB, text string) (v float64) {
	t.Helper()
	if _, err := fmt.Sscan(text, &v); err != nil {
		t.Fatalf("%q is no number: %v", text, err)
	}
	return v
}
