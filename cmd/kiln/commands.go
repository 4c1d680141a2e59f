package main

import "github.com/spf13/cobra"

// commands lists every command, in the order of the help.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.initCommand(),
		a.lockCommand(),
		a.outdatedCommand(),
		a.bakeCommand(),
		a.rebaseCommand(),
		a.cascadeCommand(),
		a.imagesCommand(),
		a.versionsCommand(),
		a.channelsCommand(),
		a.historyCommand(),
		a.inspectCommand(),
		a.diffCommand(),
		a.ancestryCommand(),
		a.promoteCommand(),
		a.rollbackCommand(),
		a.approveCommand(),
		a.revokeCommand(),
		a.restoreCommand(),
		a.resolveCommand(),
		a.renewCommand(),
		a.verifyCommand(),
		a.signCommand(),
		a.attestCommand(),
		a.keygenCommand(),
		a.trustCommand(),
		a.policyCommand(),
		a.tokenCommand(),
		a.htpasswdCommand(),
		a.copyCommand(),
		a.leaseCommand(),
		a.deleteCommand(),
		a.gcCommand(),
		a.serveCommand(),
		a.doctorCommand(),
		a.backupCommand(),
		a.versionCommand(),
	}
}
