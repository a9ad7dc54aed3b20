declare namespace f = 'http://www.gonicus.de/Events';

for $phone in ./f:Event/f:PhoneStatus
where $phone/f:Status = 'busy'
return $phone
