package dispatch

// ClientLeft is what Admit and Retry return after Cancel: there is nobody left to answer. Its Status is for the access log.
var ClientLeft = &Reply{Status: 499, Code: "client_left", Message: "the client left before the request was sent to an endpoint"}
