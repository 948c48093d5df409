package deploy

import (
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// TestRights compares all rights that the gateway gets with testdata/rights, which is to be read: each line is a right.
func TestRights(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		_, name, _ := strings.Cut(t.Name(), "/")
		checkFile(t, "testdata/rights/"+name+".txt", []byte(rights(t, objects)))
	})
}

// rights are what the bindings among objects allow, a line each.
func rights(t *testing.T, objects []object) string {
	t.Helper()
	var text strings.Builder
	bound := 0
	for _, b := range all[*rbacv1.ClusterRoleBinding](objects) {
		role := find(t, objects, "ClusterRole", b.RoleRef.Name).typed.(*rbacv1.ClusterRole)
		bound++
		writeRules(&text, "in the whole cluster", role.Rules)
	}
	for _, b := range all[*rbacv1.RoleBinding](objects) {
		if b.Namespace == "kube-system" {
			fmt.Fprintf(&text, "in kube-system: %s %s\n", b.RoleRef.Kind, b.RoleRef.Name)
			continue
		}
		bound++
		found := false
		for _, role := range all[*rbacv1.Role](objects) {
			if role.Name == b.RoleRef.Name && role.Namespace == b.Namespace && b.RoleRef.Kind == "Role" {
				found = true
				writeRules(&text, "in "+b.Namespace, role.Rules)
			}
		}
		if !found {
			t.Errorf("%s/%s binds %s %s, which is not there", b.Namespace, b.Name, b.RoleRef.Kind, b.RoleRef.Name)
		}
	}
	if roles := len(all[*rbacv1.Role](objects)) + len(all[*rbacv1.ClusterRole](objects)); roles != bound {
		t.Errorf("%d roles are bound, there are %d", bound, roles)
	}
	return text.String()
}

func writeRules(text *strings.Builder, where string, rules []rbacv1.PolicyRule) {
	for _, r := range rules {
		for i, resource := range r.Resources {
			fmt.Fprintf(text, "%s: %s %s", where, strings.Join(r.Verbs, ", "), strings.TrimSuffix(resource+"."+r.APIGroups[min(i, len(r.APIGroups)-1)], "."))
			if len(r.ResourceNames) > 0 {
				fmt.Fprintf(text, " called %s", strings.Join(r.ResourceNames, ", "))
			}
			text.WriteByte('\n')
		}
	}
}
