package applemdm

// The commands that the generated library lacks, in its form.

const (
	managedApplicationList = "ManagedApplicationList"
	settings               = "Settings"
)

// managedApplicationListCommand asks for the state of managed apps.
// Source: https://developer.apple.com/documentation/devicemanagement/managedapplicationlistcommand
type managedApplicationListCommand struct {
	Command struct {
		RequestType string
		Identifiers *[]string `plist:",omitempty"`
	}
	CommandUUID string
}

func newManagedApplicationList(uuid string) *managedApplicationListCommand {
	cmd := &managedApplicationListCommand{CommandUUID: uuid}
	cmd.Command.RequestType = managedApplicationList
	return cmd
}

// settingsCommand changes settings; the only item that Ward sends is an app's
// configuration.
// Source: https://developer.apple.com/documentation/devicemanagement/settingscommand
type settingsCommand struct {
	Command struct {
		RequestType string
		Settings    []applicationConfiguration
	}
	CommandUUID string
}

type applicationConfiguration struct {
	Item          string
	Identifier    string
	Configuration map[string]any
}

func newApplicationConfiguration(uuid, bundle string, config map[string]any) *settingsCommand {
	cmd := &settingsCommand{CommandUUID: uuid}
	cmd.Command.RequestType = settings
	cmd.Command.Settings = []applicationConfiguration{{Item: "ApplicationConfiguration", Identifier: bundle, Configuration: config}}
	return cmd
}
