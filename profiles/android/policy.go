package android

// The parts of the Policy resource that Ward sets, under the API's own names.
type policy struct {
	Applications                    []application          `json:"applications,omitempty"`
	PlayStoreMode                   string                 `json:"playStoreMode"`
	PersonalUsage                   *personalUsage         `json:"personalUsagePolicies,omitempty"`
	AdvancedSecurity                *advancedSecurity      `json:"advancedSecurityOverrides,omitempty"`
	CrossProfile                    *crossProfile          `json:"crossProfilePolicies,omitempty"`
	Connectivity                    *connectivity          `json:"deviceConnectivityManagement,omitempty"`
	StatusReporting                 statusReporting        `json:"statusReportingSettings"`
	PasswordPolicies                []passwordRequirements `json:"passwordPolicies,omitempty"`
	SystemUpdate                    *systemUpdate          `json:"systemUpdate,omitempty"`
	ChoosePrivateKeyRules           []privateKeyRule       `json:"choosePrivateKeyRules,omitempty"`
	OpenNetworkConfiguration        *onc                   `json:"openNetworkConfiguration,omitempty"`
	ShortSupportMessage             *message               `json:"shortSupportMessage,omitempty"`
	LongSupportMessage              *message               `json:"longSupportMessage,omitempty"`
	KeyguardDisabledFeatures        []string               `json:"keyguardDisabledFeatures,omitempty"`
	MaximumTimeToLock               string                 `json:"maximumTimeToLock,omitempty"` // milliseconds
	EncryptionPolicy                string                 `json:"encryptionPolicy,omitempty"`
	AssistContentPolicy             string                 `json:"assistContentPolicy,omitempty"`
	BackupService                   string                 `json:"backupService,omitempty"`
	CredentialProviderPolicyDefault string                 `json:"credentialProviderPolicyDefault,omitempty"`
	ScreenCaptureDisabled           bool                   `json:"screenCaptureDisabled,omitempty"`
	MountPhysicalMediaDisabled      bool                   `json:"mountPhysicalMediaDisabled,omitempty"`
	CredentialsConfigDisabled       bool                   `json:"credentialsConfigDisabled,omitempty"`
	ModifyAccountsDisabled          bool                   `json:"modifyAccountsDisabled,omitempty"`
	FactoryResetDisabled            bool                   `json:"factoryResetDisabled,omitempty"`
	VPNConfigDisabled               bool                   `json:"vpnConfigDisabled,omitempty"`
	AddUserDisabled                 bool                   `json:"addUserDisabled,omitempty"`
	OutgoingBeamDisabled            bool                   `json:"outgoingBeamDisabled,omitempty"`
}

type application struct {
	PackageName          string         `json:"packageName"`
	InstallType          string         `json:"installType"`
	InstallPriority      int            `json:"installPriority,omitempty"`
	AutoUpdateMode       string         `json:"autoUpdateMode,omitempty"`
	MinimumVersionCode   int64          `json:"minimumVersionCode,omitempty"`
	ManagedConfiguration map[string]any `json:"managedConfiguration,omitempty"`
	DelegatedScopes      []string       `json:"delegatedScopes,omitempty"`
	UserControlSettings  string         `json:"userControlSettings,omitempty"`
}

type personalUsage struct {
	PersonalPlayStoreMode string                `json:"personalPlayStoreMode"`
	PersonalApplications  []personalApplication `json:"personalApplications,omitempty"`
	PrivateSpacePolicy    string                `json:"privateSpacePolicy,omitempty"`
}

type personalApplication struct {
	PackageName string `json:"packageName"`
	InstallType string `json:"installType"`
}

type advancedSecurity struct {
	UntrustedAppsPolicy         string `json:"untrustedAppsPolicy,omitempty"`
	GooglePlayProtectVerifyApps string `json:"googlePlayProtectVerifyApps,omitempty"`
	DeveloperSettings           string `json:"developerSettings,omitempty"`
}

type crossProfile struct {
	CrossProfileCopyPaste   string `json:"crossProfileCopyPaste,omitempty"`
	CrossProfileDataSharing string `json:"crossProfileDataSharing,omitempty"`
	ShowWorkContacts        string `json:"showWorkContactsInPersonalProfile,omitempty"`
}

type connectivity struct {
	USBDataAccess    string      `json:"usbDataAccess,omitempty"`
	BluetoothSharing string      `json:"bluetoothSharing,omitempty"`
	PrivateDNS       *privateDNS `json:"privateDnsSettings,omitempty"`
}

type statusReporting struct {
	ApplicationReportsEnabled    bool                  `json:"applicationReportsEnabled"`
	ApplicationReportingSettings *applicationReporting `json:"applicationReportingSettings,omitempty"`
	DeviceSettingsEnabled        bool                  `json:"deviceSettingsEnabled"`
	SoftwareInfoEnabled          bool                  `json:"softwareInfoEnabled"`
	NetworkInfoEnabled           bool                  `json:"networkInfoEnabled,omitempty"`
}

type applicationReporting struct {
	IncludeRemovedApps bool `json:"includeRemovedApps"`
}

type passwordRequirements struct {
	PasswordScope         string `json:"passwordScope"`
	PasswordQuality       string `json:"passwordQuality"`
	PasswordMinimumLength int    `json:"passwordMinimumLength,omitempty"`
}

type systemUpdate struct {
	Type string `json:"type"`
}

type privateKeyRule struct {
	PackageNames    []string `json:"packageNames"`
	PrivateKeyAlias string   `json:"privateKeyAlias"`
}

type message struct {
	DefaultMessage string `json:"defaultMessage"`
}

// onc is an Open Network Configuration with what Google supports of it and, for the
// certificate, what Google adds to it.
// Source: https://developers.google.com/android/management/configure-networks
type onc struct {
	Type                  string           `json:"Type"`
	NetworkConfigurations []oncNetwork     `json:"NetworkConfigurations"`
	Certificates          []oncCertificate `json:"Certificates,omitempty"`
}

type oncNetwork struct {
	GUID string  `json:"GUID"`
	Name string  `json:"Name"`
	Type string  `json:"Type"`
	WiFi oncWiFi `json:"WiFi"`
}

type oncWiFi struct {
	SSID                    string `json:"SSID"`
	HiddenSSID              bool   `json:"HiddenSSID,omitempty"`
	AutoConnect             bool   `json:"AutoConnect"`
	Security                string `json:"Security"`
	MACAddressRandomization string `json:"MACAddressRandomizationMode,omitempty"`
	EAP                     oncEAP `json:"EAP"`
}

type oncEAP struct {
	Outer                  string   `json:"Outer"`
	Identity               string   `json:"Identity"`
	DomainSuffixMatch      []string `json:"DomainSuffixMatch"`
	ClientCertType         string   `json:"ClientCertType"`
	ClientCertKeyPairAlias string   `json:"ClientCertKeyPairAlias"`
	ServerCARefs           []string `json:"ServerCARefs"`
}

type oncCertificate struct {
	GUID string `json:"GUID"`
	Type string `json:"Type"`
	X509 string `json:"X509"`
}
