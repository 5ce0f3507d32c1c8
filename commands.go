package main

import "github.com/spf13/cobra"

// commands lists the verbs, in the order of a first encounter.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.dataCommand(), a.serverCommand(), a.committeeCommand(), a.deviceCommand(), a.trainCommand(), a.evaluateCommand(),
		a.generateCommand(), a.recommendCommand(),
		a.reportCommand(), a.verifyCommand(), a.auditCommand(), a.attackCommand(), a.statusCommand(), a.taskCommand(), a.runCommand(),
		a.backupCommand(), a.restoreCommand(), a.fsckCommand(), a.certsCommand(), a.versionCommand(),
	}
}
