package schema

import (
	"regexp"
	"strings"
	"time"
)

// The types of [Message].
const (
	MessageSystem   = "SYSTEM"
	MessageQuestion = "QUESTION"
	MessageAnswer   = "ANSWER"
)

// The question types of [Message].
const (
	QuestionOpen                    = "OPEN"
	QuestionSingleChoice            = "SINGLE_CHOICE"
	QuestionSingleChoiceExplanation = "SINGLE_CHOICE_EXPLANATION"
	QuestionMultiChoice             = "MULTI_CHOICE"
	QuestionMultiChoiceExplanation  = "MULTI_CHOICE_EXPLANATION"
)

// Message is one turn of a [Conversation]: a system prompt, a question or an answer.
//
// Number is the turn, from 0; a question and its answers share it. User names who speaks. Type is "SYSTEM", "QUESTION"
// or "ANSWER". QuestionType is "OPEN" (also its zero value), "SINGLE_CHOICE", "MULTI_CHOICE", or one of the two
// followed by "_EXPLANATION"; Choices are a question's possible answers. Timestamp is a wall clock without zone, the
// zero value (year 1) is none.
//
// Normalising writes both types in capitals and makes QuestionType agree with Choices: an open question with choices
// is "MULTI_CHOICE", a choice question without is "OPEN". The answer to a choice question has the content
// "[[A;B]] explanation", with the letters or digits that label the choices; "SINGLE_…" takes one label at most and
// "…_EXPLANATION" wants an explanation. Content of another form is kept, and reported by [Warnings].
//
// Stored as the columns of [Annotation], string, int64, string, string, string, list<string>, timestamp[us].
type Message struct {
	Annotation
	Content      string
	Number       int64
	User         string
	Type         string
	QuestionType string    `pixano:",optional"`
	Choices      []string  `pixano:",optional"`
	Timestamp    time.Time `pixano:",optional"`
}

func (m *Message) rules() error {
	if err := m.Annotation.rules(); err != nil {
		return err
	}
	m.Type = strings.ToUpper(m.Type)
	m.QuestionType = strings.ToUpper(m.QuestionType)
	if m.QuestionType == "" {
		m.QuestionType = QuestionOpen
	}
	if m.Number < 0 {
		return broken("number", m.Number, "want at least 0")
	}
	if m.Type != MessageQuestion && len(m.Choices) > 0 {
		return broken("choices", m.Choices, "want choices on a QUESTION only")
	}
	switch m.Type {
	case MessageSystem:
		return nil
	case MessageQuestion:
		return m.questionRules()
	case MessageAnswer:
		return m.answerRules()
	}
	return broken("type", m.Type, "want SYSTEM, QUESTION or ANSWER")
}

func (m *Message) questionRules() error {
	switch {
	case m.QuestionType == QuestionOpen && len(m.Choices) > 0:
		m.QuestionType = QuestionMultiChoice
	case m.QuestionType != QuestionOpen && len(m.Choices) == 0:
		m.QuestionType = QuestionOpen
	}
	switch m.QuestionType {
	case QuestionOpen, QuestionSingleChoice, QuestionSingleChoiceExplanation,
		QuestionMultiChoice, QuestionMultiChoiceExplanation:
		return nil
	}
	return broken("question_type", m.QuestionType, "want OPEN, SINGLE_CHOICE or MULTI_CHOICE, the last two also with _EXPLANATION")
}

func (m *Message) answerRules() error {
	if m.QuestionType == QuestionOpen {
		return nil
	}
	labels, explanation, ok := ParseChoiceAnswer(m.Content)
	if strings.HasSuffix(m.QuestionType, "_EXPLANATION") && explanation == "" {
		return broken("content", m.Content, "want [[LABELS]] and an explanation for %s", m.QuestionType)
	}
	if strings.HasPrefix(m.QuestionType, "SINGLE_") && len(labels) > 1 {
		return broken("content", m.Content, "want one label for %s", m.QuestionType)
	}
	if ok {
		m.Content = FormatChoiceAnswer(labels, explanation)
	}
	return nil
}

func (m *Message) warnings() []*Error {
	if m.Type != MessageAnswer || m.QuestionType == QuestionOpen {
		return nil
	}
	_, explanation, ok := ParseChoiceAnswer(m.Content)
	if !ok {
		return []*Error{doubtful("content", m.Content, "an answer to a choice question begins with [[LABELS]]")}
	}
	if strings.Contains(explanation, "\n") {
		return []*Error{doubtful("content", m.Content, "the reference implementation keeps one line of an explanation")}
	}
	return nil
}

var choiceAnswer = regexp.MustCompile(`^\[\[([A-Za-z0-9]+(?:;[A-Za-z0-9]+)*)?\]\]\s*`)

// ParseChoiceAnswer splits the content of an answer to a choice question, "[[A;B]] because", into its labels and its
// explanation. ok is false, and the rest empty, for content of another form.
func ParseChoiceAnswer(content string) (labels []string, explanation string, ok bool) {
	m := choiceAnswer.FindStringSubmatchIndex(content)
	if m == nil {
		return nil, "", false
	}
	if m[2] >= 0 {
		labels = strings.Split(content[m[2]:m[3]], ";")
	}
	return labels, content[m[1]:], true
}

// FormatChoiceAnswer is the inverse of [ParseChoiceAnswer].
func FormatChoiceAnswer(labels []string, explanation string) string {
	return "[[" + strings.Join(labels, ";") + "]] " + explanation
}
