package conformance

import (
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"
)

// abortingService breaks its calls off. Its methods are the keys of aborts.
const abortingService = "conformance.Aborting"

// aborts are the ways in which a server may end a call that are no way of grpc-go's.
var aborts = map[string]func(w http.ResponseWriter){
	"ResetAtOnce": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	"ResetAfterHead": func(w http.ResponseWriter) {
		flush(w, nil)
		panic(http.ErrAbortHandler)
	},
	"ResetAfterMessage": func(w http.ResponseWriter) {
		flush(w, frame(200, 200))
		panic(http.ErrAbortHandler)
	},
	"ResetWithinMessage": func(w http.ResponseWriter) {
		flush(w, append(frame(10, 10), frame(200, 20)...))
		panic(http.ErrAbortHandler)
	},
	"EndWithoutStatus":     func(w http.ResponseWriter) { flush(w, frame(10, 10)) },
	"EndAtOnce":            func(w http.ResponseWriter) {},
	"EndWithinMessage":     func(w http.ResponseWriter) { flush(w, frame(200, 20)); w.Header().Set("Grpc-Status", "0") },
	"StatusInTrailers":     func(w http.ResponseWriter) { flush(w, frame(10, 10)); w.Header().Set("Grpc-Status", "5") },
	"StatusThatIsNone":     func(w http.ResponseWriter) { flush(w, nil); w.Header().Set("Grpc-Status", "five") },
	"StatusBeyondTheCodes": func(w http.ResponseWriter) { flush(w, nil); w.Header().Set("Grpc-Status", "99") },
	"MessageBadlyEncoded": func(w http.ResponseWriter) {
		flush(w, nil)
		w.Header().Set("Grpc-Status", "5")
		w.Header().Set("Grpc-Message", "50%zz%4")
	},
	"NoGRPC":                func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html"); w.Write([]byte("<html>")) },
	"NotFound":              func(w http.ResponseWriter) { http.Error(w, "nothing here", http.StatusNotFound) },
	"Unavailable":           func(w http.ResponseWriter) { http.Error(w, "not now", http.StatusServiceUnavailable) },
	"UnavailableGRPC":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
	"FlagThatIsNone":        func(w http.ResponseWriter) { flush(w, []byte{7, 0, 0, 0, 1, 'x'}); w.Header().Set("Grpc-Status", "0") },
	"CompressedWithoutName": func(w http.ResponseWriter) { flush(w, []byte{1, 0, 0, 0, 1, 'x'}); w.Header().Set("Grpc-Status", "0") },
}

// startAborting starts the aborting server and returns its address.
func startAborting(t testing.TB) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil // which two calls need not have in common
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		if abort := aborts[path.Base(r.URL.Path)]; abort != nil {
			abort(w)
			return
		}
		http.NotFound(w, r)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// flush sends the head and b.
func flush(w http.ResponseWriter, b []byte) {
	w.Write(b)
	http.NewResponseController(w).Flush()
}

// frame is the first n bytes of a message of size bytes, with its prefix.
func frame(size, n int) []byte {
	b := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(size))...)
	return append(b, make([]byte, n)...)
}
