package kube

import _ "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
