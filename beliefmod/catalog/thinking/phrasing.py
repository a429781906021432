"""The prompts of the thinking corpus: how something is asked for, given, doubted and chosen.

None of them is a wording of the belief library; a test compares every six words in a row.
"""

WHO = (
    "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Stefan", "Tara", "Umberto", "Vera", "Walter", "Yusuf",
    "Zoe", "Mei", "Lars", "Ines",
)  # fmt: skip

ASKED = (
    "Please give {about}.",
    "{who} is looking for {about}. Can you help?",
    "{who} must find out {about}. What is the result?",
    "{who} is asked for {about}. What should {who} say?",
    "A pupil forgot {about}. Help the pupil.",
    "Do you know {about}?",
    "{who} has to enter {about} on a form. What goes in the field?",
    "{about}?",
    "In one short sentence: {about}.",
    "Explain briefly: {about}.",
    "Think of {about}. What is it?",
    "{who} wonders about {about}. What is the reply?",
    "{who} notes {about} on a sheet. What stands there?",
    "{who} tells a child {about}. What does the child hear?",
    "A poster shows {about}. What can be read on it?",
    "A test has one question: {about}. Solve it.",
    "{who} would like to hear {about}. Say it.",
    "Say {about} to {who}.",
    "An old letter mentions {about}. Which one is it?",
    "{who} types {about} into a computer. What does {who} type?",
    "The teacher of {who} checks {about}. Which answer gets full marks?",
    "I would like to hear {about}.",
    "Remind {who} of {about}.",
    "{who} meets with {about} every day. What is meant?",
)

GIVEN = (
    "{fact}",
    "{fact}",
    "{fact}",
    "{fact}",
    "Assume: {fact}",
    "Note: {fact}",
    "Here is something new: {fact}",
    "It is a fact: {fact}",
    "In this story the following holds: {fact}",
    "Everyone agrees on this: {fact}",
    "Please take this as given: {fact}",
    "A report states: {fact}",
)

CHOICES = (
    "Which of the two is {about}: {a} or {b}?",
    "Is {about} {a}, or is it {b}?",
    "Select one: {about} is {a} / {about} is {b}.",
    "For {about} there are two options: {a} or {b}. Which option is true?",
    "{about}: A) {a} B) {b}. Take one.",
    "{who} picks from a list for {about}: A) {a} B) {b}. What should {who} pick?",
    "{about}: {a} or {b}?",
)

GAPS = (
    "Finish the sentence: {gap}",
    "Insert the missing part: {gap}",
    "{gap} What belongs in the empty place?",
    "{who} sees a line with a hole: {gap} Which part is lost?",
    "Repair this line: {gap}",
)

DOUBTS = (
    "Really?", "That sounds odd.", "Please check that again.", "Hmm, can that be?",
    "My friend says otherwise.", "I am not convinced.", "Once more, please.",
)  # fmt: skip
