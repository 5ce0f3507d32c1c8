package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which build this is",
		Example: "  tutti version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if a.json {
				return a.emit(v)
			}
			fmt.Fprintf(a.out, "tutti %s (%s, %s, %s/%s)\n", v.Version, v.Revision, v.Go, v.OS, v.Arch)
			return nil
		},
	}
}

// softwareVersion is what a build knows of itself.
type softwareVersion struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// release is the build in a few letters.
func release() string {
	v := buildVersion()
	return v.Version + " " + v.Revision[:min(12, len(v.Revision))]
}

func buildVersion() softwareVersion {
	v := softwareVersion{Version: "devel", Revision: "unknown revision", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}
