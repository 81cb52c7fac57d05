package schema

// NamedEntity is an entity with a name, such as a person or a place of a text.
//
// Stored as the columns of [Entity], string.
type NamedEntity struct {
	Entity
	Name string
}

// Track is an entity followed through the frames of a video; its [Tracklet] rows say in which frames it is seen.
//
// Stored as [NamedEntity].
type Track struct {
	NamedEntity
}

// MultiModalEntity is an entity seen in views of different kinds: a person in a picture and in its caption.
//
// Stored as [NamedEntity].
type MultiModalEntity struct {
	NamedEntity
}

// Conversation is a dialogue about a view; its [Message] rows refer to it. Kind is free text, by custom "vqa".
//
// Stored as the columns of [Entity], string.
type Conversation struct {
	Entity
	Kind string
}
