package autoscale

import (
	"encoding/json"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// refusal is an error with the status that it is answered with.
type refusal struct {
	code    int
	reason  metav1.StatusReason
	message string
}

func (r *refusal) Error() string { return r.message }

func notFound(message string) error {
	return &refusal{http.StatusNotFound, metav1.StatusReasonNotFound, message}
}

func badRequest(message string) error {
	return &refusal{http.StatusBadRequest, metav1.StatusReasonBadRequest, message}
}

// unavailable goes without Retry-After, by which Kubernetes' clients would ask again at once, and up to ten times: an HPA comes back anyway.
func unavailable(message string) error {
	return &refusal{http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, message}
}

// writeJSON writes an answer and returns its status: that of err, if there is one, as Kubernetes' Status.
func writeJSON(w http.ResponseWriter, answer any, err error) (code int) {
	code = http.StatusOK
	if err != nil {
		code, answer = statusOf(err)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic("BUG: an answer that cannot be written: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(text)
	return code
}

func statusOf(err error) (int, *metav1.Status) {
	r, ok := err.(*refusal)
	if !ok {
		r = unavailable(err.Error()).(*refusal) // a notKnown
	}
	return r.code, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Code:     int32(r.code),
		Reason:   r.reason,
		Message:  r.message,
	}
}
