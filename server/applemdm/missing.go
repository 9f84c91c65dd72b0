package applemdm

import "github.com/micromdm/plist"

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

// manifest is the description that InstallApplication fetches from a ManifestURL.
// Source: https://developer.apple.com/documentation/devicemanagement/manifesturl
type manifest struct {
	Items []manifestItem `plist:"items"`
}

type manifestItem struct {
	Assets   []manifestAsset  `plist:"assets"`
	Metadata manifestMetadata `plist:"metadata"`
}

type manifestAsset struct {
	Kind string `plist:"kind"`
	URL  string `plist:"url"`
}

type manifestMetadata struct {
	BundleIdentifier string `plist:"bundle-identifier"`
	BundleVersion    string `plist:"bundle-version"`
	Kind             string `plist:"kind"`
	Title            string `plist:"title"`
}

// Manifest describes an app whose package is at url.
func Manifest(bundle, url string) ([]byte, error) {
	return plist.MarshalIndent(manifest{[]manifestItem{{
		Assets:   []manifestAsset{{"software-package", url}},
		Metadata: manifestMetadata{bundle, "1.0", "software", bundle},
	}}}, "\t")
}
