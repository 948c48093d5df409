// Package autoscale tells the autoscalers of a Kubernetes cluster how much work there is for each pool, in all replicas of the gateway
// together: it answers the external and the custom metrics API, and KEDA's external scaler.
//
// Any replica answers for all of them, as a call lands on one. So each asks the others every second. What may be said of what was heard is the
// truth rule, in ledger.go: a number is either that of all replicas or there is none, because an autoscaler keeps the count of replicas when
// it hears nothing, and removes them when it hears too little.
package autoscale
