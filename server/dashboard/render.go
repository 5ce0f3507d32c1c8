package dashboard

import (
	"bytes"
	"context"
	"fmt"

	"tutti/server/operator"
)

// sectionNames are the parts of a task's page that change. Each is a template, and an element whose id is its name.
var sectionNames = []string{"alarm", "now", "controls", "open", "budget", "quality", "reasons", "rounds", "meter", "committee", "versions", "log", "replicas"}

// render makes the parts of a task's page.
func (h *Handler) render(w *watch, v *operator.View, write bool) (sections, error) {
	s, out := newSheet(w, v, write), sections{}
	for _, name := range sectionNames {
		var b bytes.Buffer
		var data any = s
		if name == "alarm" {
			data = alarmsOf(v)
		}
		if err := h.pages.ExecuteTemplate(&b, name, data); err != nil {
			return nil, fmt.Errorf("dashboard: %s: %w", name, err)
		}
		out[name] = b.String()
	}
	return out, nil
}

// alarmsOf says in red what nobody should overlook about a task.
func alarmsOf(v *operator.View) []string {
	switch {
	case !v.Privacy.On:
		return []string{"PRIVACY IS OFF in task " + v.Task + ": no noise is added, and nothing is claimed. Masks are on: the server still sees only sums."}
	case v.Privacy.Trust != "devices":
		return []string{"TRUSTED OPERATOR in task " + v.Task + ": the operator sees sums without noise and adds it afterwards. The claim is towards those who see what is released."}
	}
	return nil
}

// alarms are those of all tasks; to somebody who is not logged in they name none.
func (h *Handler) alarms(ctx context.Context, in bool) []string {
	all, err := h.tasks(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, d := range all {
		w, err := h.desk(ctx, d.Task)
		if err != nil {
			continue
		}
		if v, err := w.look(ctx); err == nil {
			out = append(out, alarmsOf(v)...)
		}
	}
	if len(out) > 0 && !in {
		return []string{"Privacy is off on this server, or the operator is trusted to add the noise. Log in to see in which task."}
	}
	return out
}
