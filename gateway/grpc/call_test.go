package grpc

import "testing"

func TestIsGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc":                      true,
		"application/grpc+proto":                true,
		"application/grpc+json; charset=utf-8":  true,
		"application/grpc;x=y":                  true,
		"application/grpc ; x=y":                true,
		"application/grpc ":                     true,
		"Application/GRPC+proto":                true,
		"application/grpc-web":                  false,
		"application/grpc-web+proto":            false,
		"application/grpc-web-text":             false,
		"application/grpcx":                     false,
		"application/grpc proto":                false,
		"application/grpc +proto":               false,
		"application/grp":                       false,
		"application/json":                      false,
		"application/json; x=application/grpc":  false,
		" application/grpc":                     false,
		"":                                      false,
		"application/x-protobuf-and-then-some":  false,
		"application/json, application/grpc":    false,
		"application/grpc, application/json":    false,
		"application/grpc\x00+proto":            false,
		"application/grpc\t;charset=utf-8;a=b;": true,
	} {
		if got := IsGRPC(contentType); got != want {
			t.Errorf("IsGRPC(%q) = %v", contentType, got)
		}
	}
}

func TestSplitPath(t *testing.T) {
	for _, c := range []struct {
		path, service, method string
		ok                    bool
	}{
		{"/inference.GRPCInferenceService/ModelInfer", "inference.GRPCInferenceService", "ModelInfer", true},
		{"/a/b", "a", "b", true},
		{"a/b", "", "", false},
		{"/a", "", "", false},
		{"/a/", "", "", false},
		{"//b", "", "", false},
		{"//a/b", "", "", false},
		{"/a/b/", "", "", false},
		{"/a/b/c", "", "", false},
		{"/a/b?x=y", "", "", false},
		{"/a?x/b", "", "", false},
		{"*", "", "", false},
		{"/", "", "", false},
		{"", "", "", false},
	} {
		service, method, ok := SplitPath(c.path)
		if service != c.service || method != c.method || ok != c.ok {
			t.Errorf("SplitPath(%q) = %q, %q, %v", c.path, service, method, ok)
		}
	}
}
